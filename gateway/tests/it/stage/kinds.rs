use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::StatusCode;
use plugin_sdk::{
    BuildError, Env, Flow, Form, Kind, Later, Outcome, Plugin, Principal, Proof, Registry, Reply,
    Request, Seen, Stage,
};
use schemars::JsonSchema;
use serde::Deserialize;

/// The built-in kinds and those of the tests.
pub(super) fn all() -> Registry {
    static ALL: OnceLock<Vec<Kind>> = OnceLock::new();
    ALL.get_or_init(|| {
        let ours = [
            Kind::of::<Who>(),
            Kind::of::<Panics>(),
            Kind::of::<Reads>(),
            Kind::of::<Counts>(),
            Kind::of::<Told>(),
        ];
        plugins::BUILTIN.iter().copied().chain(ours).collect()
    })
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Nothing {}

/// Believes `x-test-user`, and `x-test-session` where there is one: whoever says so proved it in
/// the year 2001.
struct Who {
    way: Arc<str>,
}

impl Plugin for Who {
    const NAME: &'static str = "test_who";
    const STAGE: Stage = Stage::Identify;
    type Config = Nothing;
    fn build(_: Nothing, env: &Env) -> Result<Self, BuildError> {
        let way = env.entry().into();
        Ok(Self { way })
    }
    fn request(&self, request: &mut Request<'_>) -> Flow {
        let head = request.head;
        let said = |name| head.single(&http::HeaderName::from_static(name));
        if let Some(sub) = said("x-test-user") {
            let principal = Principal {
                sub: sub.to_owned(),
                roles: vec!["user".into()],
                sid: said("x-test-session").map(str::to_owned),
                ..Principal::default()
            };
            let proof = Proof {
                way: self.way.clone(),
                form: Form::Bearer,
                key: None,
                issued_at: 1_000_000_000,
                expires_at: None,
                claims: serde_json::Map::new(),
            };
            request.facts.know(Arc::new(principal), Arc::new(proof));
        }
        Flow::Continue
    }
}

/// Panics where `x-test-panic` says: `request`, `wait`, `response` or `log`.
struct Panics;

impl Panics {
    fn at(seen: &Seen<'_>, place: &str) {
        let name = http::HeaderName::from_static("x-test-panic");
        assert!(seen.head.single(&name) != Some(place), "as asked");
    }
}

impl Plugin for Panics {
    const NAME: &'static str = "test_panics";
    const STAGE: Stage = Stage::Shape;
    type Config = Nothing;
    fn build(_: Nothing, _: &Env) -> Result<Self, BuildError> {
        Ok(Self)
    }
    fn request(&self, request: &mut Request<'_>) -> Flow {
        Self::at(&request.seen(), "request");
        Flow::Wait
    }
    fn request_wait<'a>(&'a self, request: &'a mut Request<'_>) -> Later<'a> {
        Box::pin(async move {
            Self::at(&request.seen(), "wait");
            Flow::Continue
        })
    }
    fn response(&self, seen: &Seen<'_>, _: &mut plugin_sdk::ResponseHead) {
        Self::at(seen, "response");
    }
    fn log(&self, seen: &Seen<'_>, _: &Outcome) {
        Self::at(seen, "log");
    }
}

/// Reads the body; refuses it when it holds `bad`, and goes on when it can't be had.
struct Reads {
    limit: usize,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Limit {
    limit: usize,
}

impl Plugin for Reads {
    const NAME: &'static str = "test_reads";
    const STAGE: Stage = Stage::Shape;
    type Config = Limit;
    fn build(config: Limit, _: &Env) -> Result<Self, BuildError> {
        Ok(Self {
            limit: config.limit,
        })
    }
    fn request(&self, request: &mut Request<'_>) -> Flow {
        if request.has_body() {
            Flow::Wait
        } else {
            Flow::Continue
        }
    }
    fn request_wait<'a>(&'a self, request: &'a mut Request<'_>) -> Later<'a> {
        Box::pin(async move {
            match request.body(self.limit).await {
                Ok(body) if body.windows(3).any(|part| part == b"bad") => Flow::Reply(Box::new(
                    Reply::problem(StatusCode::BAD_REQUEST, "bad_body", "The body is bad"),
                )),
                Ok(_) => Flow::Continue,
                Err(plugin_sdk::BodyError::TooLong { limit }) => Flow::Reply(Box::new(
                    Reply::problem(
                        StatusCode::PAYLOAD_TOO_LARGE,
                        "payload_too_large",
                        "Too long",
                    )
                    .detail(format!("{limit}")),
                )),
                Err(plugin_sdk::BodyError::Incomplete) => Flow::Continue,
            }
        })
    }
}

/// Tells in `x-test-connection` which name was asked for in the handshake, and how long the client's
/// certificate is.
struct Told;

impl Plugin for Told {
    const NAME: &'static str = "test_connection";
    const STAGE: Stage = Stage::Edge;
    type Config = Nothing;
    fn build(_: Nothing, _: &Env) -> Result<Self, BuildError> {
        Ok(Self)
    }
    fn request(&self, request: &mut Request<'_>) -> Flow {
        let connection = request.head.connection;
        let name = connection.server_name.as_deref().unwrap_or("-");
        let length = connection.certificate.as_ref().map_or(0, |der| der.len());
        let told = format!("{name} {length}").parse().unwrap();
        let header = http::HeaderName::from_static("x-test-connection");
        request.facts.answer_headers.push((header, told));
        Flow::Continue
    }
}

/// How often [`Counts`] was asked, in this process.
static COUNTED: AtomicUsize = AtomicUsize::new(0);

/// Counts requests, as a limit would.
struct Counts;

impl Plugin for Counts {
    const NAME: &'static str = "test_counts";
    const STAGE: Stage = Stage::Limit;
    type Config = Nothing;
    fn build(_: Nothing, _: &Env) -> Result<Self, BuildError> {
        Ok(Self)
    }
    fn request(&self, _: &mut Request<'_>) -> Flow {
        COUNTED.fetch_add(1, Ordering::SeqCst);
        Flow::Continue
    }
}

/// How often [`Counts`] was asked.
pub(crate) fn counted() -> usize {
    COUNTED.load(Ordering::SeqCst)
}
