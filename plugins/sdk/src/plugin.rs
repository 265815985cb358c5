use std::pin::Pin;
use std::time::Duration;

use http::{HeaderMap, HeaderName, Method, StatusCode};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use crate::{BuildError, Env, Form, Reply, Request, ResponseHead, Seen};

/// Where in a request's way a plugin stands. The order of the variants is the order of the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// Before anything is known of the caller: request ids, CORS, limits per address.
    Edge,
    /// Who is calling.
    Identify,
    /// Whether they may.
    Authorize,
    /// How often they may.
    Limit,
    /// In what shape: validation, headers.
    Shape,
    /// Looks on and changes nothing.
    Observe,
}

/// What a request hook says.
#[derive(Debug)]
pub enum Flow {
    /// On to the next plugin.
    Continue,
    /// The request ends here, with this answer.
    Reply(Box<Reply>),
    /// The answer is not in memory: await [`Plugin::request_wait`].
    Wait,
}

/// A hook's answer that takes time.
pub type Later<'a> = Pin<Box<dyn Future<Output = Flow> + Send + 'a>>;

/// An answer that takes time.
pub type Answering<'a> = Pin<Box<dyn Future<Output = Box<Reply>> + Send + 'a>>;

/// The credentials that a way of proving who one is takes for its own. Each way refuses those of its
/// own that are not good, so two ways with the same would refuse each other's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Takes {
    /// Their form.
    pub form: Form,
    /// What tells them from others of the form: their issuer, the header of a key. `None`: nothing
    /// does, it takes all that come to it.
    pub of: Option<String>,
    /// What it puts before the names of those whom it knows; `None` when the names are ours to give.
    pub sub_prefix: Option<String>,
}

/// How a request ended.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The status that the client got; `None` when it went away first.
    pub status: Option<StatusCode>,
    /// From the first byte of the head to the last of the answer.
    pub took: Duration,
    /// The plugin that answered in place of the upstream.
    pub refused_by: Option<&'static str>,
}

/// A plugin of the gateway. All hooks but [`build`](Plugin::build) have a default that does
/// nothing; a panic in one of them is a 500 for that one request.
pub trait Plugin: Sized + Send + Sync + 'static {
    /// The plugin's name in the route table.
    const NAME: &'static str;
    /// Where it stands in a request's way.
    const STAGE: Stage;
    /// Its configuration, as the route table says it. Must deny unknown fields.
    type Config: DeserializeOwned + JsonSchema;

    /// Makes the plugin from its configuration. All that can be wrong is found here, not at the
    /// first request.
    fn build(config: Self::Config, env: &Env) -> Result<Self, BuildError>;

    /// Where this one stands, when its configuration moves it away from [`Plugin::STAGE`].
    fn stage(&self) -> Stage {
        Self::STAGE
    }

    /// Which credentials it takes for its own, when it stands at [`Stage::Identify`]. `None`: all
    /// that its kind knows, so that no two of the kind can stand on one route.
    fn takes(&self) -> Option<Takes> {
        None
    }

    /// Judges the request. Must not block.
    fn request(&self, _request: &mut Request<'_>) -> Flow {
        Flow::Continue
    }

    /// Judges the request after [`Flow::Wait`]. Saying `Wait` again is a fault.
    fn request_wait<'a>(&'a self, _request: &'a mut Request<'_>) -> Later<'a> {
        Box::pin(async { Flow::Continue })
    }

    /// What somebody is told whom no way knows, in place of the 401: a browser is sent to sign in,
    /// say. Asked of a route's ways of [`Stage::Identify`] in their order, once all of them have
    /// run; the first that does not say [`Flow::Continue`] is heard.
    fn challenge<'a>(&'a self, _request: &'a mut Request<'_>) -> Later<'a> {
        Box::pin(async { Flow::Continue })
    }

    /// The requests that it answers itself, by method and path: the return from a sign-in
    /// elsewhere, say. Each needs a route that is `answered_by` it.
    fn answers(&self) -> Vec<(Method, String)> {
        Vec::new()
    }

    /// Answers a request of a route that is `answered_by` this plugin, after the route's chain.
    fn answer<'a>(&'a self, _request: &'a mut Request<'_>) -> Answering<'a> {
        Box::pin(async {
            Box::new(Reply::problem(
                StatusCode::NOT_FOUND,
                "not_found",
                "Not found",
            ))
        })
    }

    /// A cookie that is between it and the browser alone. On no route does an upstream see it, nor
    /// one whose name begins with this one and a dot; and none sets it.
    fn cookie(&self) -> Option<&str> {
        None
    }

    /// The headers that its credentials come in, beside `Authorization`. On no route does an upstream
    /// see them.
    fn credentials(&self) -> Vec<HeaderName> {
        Vec::new()
    }

    /// Edits the headers that the upstream gets. Runs once per attempt: must be repeatable.
    /// Identity headers can't be set here: the gateway writes them last.
    fn upstream_request(&self, _seen: &Seen<'_>, _headers: &mut HeaderMap) {}

    /// Edits the head of every answer: the upstream's, a cached one and our own.
    fn response(&self, _seen: &Seen<'_>, _head: &mut ResponseHead) {}

    /// Learns how it ended. Must not block: what is to be written goes into a bounded queue.
    fn log(&self, _seen: &Seen<'_>, _outcome: &Outcome) {}
}

/// [`Plugin`] without its types, as a chain holds it.
pub trait AnyPlugin: Send + Sync + 'static {
    /// [`Plugin::NAME`].
    fn name(&self) -> &'static str;
    /// [`Plugin::stage`].
    fn stage(&self) -> Stage;
    /// [`Plugin::takes`].
    fn takes(&self) -> Option<Takes>;
    /// [`Plugin::request`].
    fn request(&self, request: &mut Request<'_>) -> Flow;
    /// [`Plugin::request_wait`].
    fn request_wait<'a>(&'a self, request: &'a mut Request<'_>) -> Later<'a>;
    /// [`Plugin::challenge`].
    fn challenge<'a>(&'a self, request: &'a mut Request<'_>) -> Later<'a>;
    /// [`Plugin::answers`].
    fn answers(&self) -> Vec<(Method, String)>;
    /// [`Plugin::answer`].
    fn answer<'a>(&'a self, request: &'a mut Request<'_>) -> Answering<'a>;
    /// [`Plugin::cookie`].
    fn cookie(&self) -> Option<&str>;
    /// [`Plugin::credentials`].
    fn credentials(&self) -> Vec<HeaderName>;
    /// [`Plugin::upstream_request`].
    fn upstream_request(&self, seen: &Seen<'_>, headers: &mut HeaderMap);
    /// [`Plugin::response`].
    fn response(&self, seen: &Seen<'_>, head: &mut ResponseHead);
    /// [`Plugin::log`].
    fn log(&self, seen: &Seen<'_>, outcome: &Outcome);
}

impl<P: Plugin> AnyPlugin for P {
    fn name(&self) -> &'static str {
        P::NAME
    }
    fn stage(&self) -> Stage {
        Plugin::stage(self)
    }
    fn takes(&self) -> Option<Takes> {
        Plugin::takes(self)
    }
    fn request(&self, request: &mut Request<'_>) -> Flow {
        Plugin::request(self, request)
    }
    fn request_wait<'a>(&'a self, request: &'a mut Request<'_>) -> Later<'a> {
        Plugin::request_wait(self, request)
    }
    fn challenge<'a>(&'a self, request: &'a mut Request<'_>) -> Later<'a> {
        Plugin::challenge(self, request)
    }
    fn answers(&self) -> Vec<(Method, String)> {
        Plugin::answers(self)
    }
    fn answer<'a>(&'a self, request: &'a mut Request<'_>) -> Answering<'a> {
        Plugin::answer(self, request)
    }
    fn cookie(&self) -> Option<&str> {
        Plugin::cookie(self)
    }
    fn credentials(&self) -> Vec<HeaderName> {
        Plugin::credentials(self)
    }
    fn upstream_request(&self, seen: &Seen<'_>, headers: &mut HeaderMap) {
        Plugin::upstream_request(self, seen, headers);
    }
    fn response(&self, seen: &Seen<'_>, head: &mut ResponseHead) {
        Plugin::response(self, seen, head);
    }
    fn log(&self, seen: &Seen<'_>, outcome: &Outcome) {
        Plugin::log(self, seen, outcome);
    }
}
