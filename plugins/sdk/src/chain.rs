use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use http::{HeaderMap, StatusCode};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::request::Look;
use crate::{AnyPlugin, Flow, Outcome, Reply, Request, ResponseHead, Seen, Stage};

/// One plugin in a chain, under the name that the route table gives it.
#[derive(Clone)]
pub struct Link {
    /// The name in the route table: `login` for a limit, `user` for a way to prove who one is.
    pub name: Arc<str>,
    /// The plugin.
    pub plugin: Arc<dyn AnyPlugin>,
    /// Whether its refusals count.
    pub mode: Mode,
}

/// Whether the refusals of a policy count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// What it refuses is refused.
    #[default]
    Enforce,
    /// It refuses nothing and changes nothing, neither the request nor the answer; what it would
    /// have refused is counted. Somebody whom it knows stays unknown. A body that does not say how
    /// long it is, is not judged.
    Shadow,
}

/// A route's plugins, in the order in which a request meets them.
#[derive(Clone, Default)]
pub struct Chain {
    links: Box<[Link]>,
}

impl Link {
    /// A plugin whose refusals count.
    pub fn new(name: impl Into<Arc<str>>, plugin: Arc<dyn AnyPlugin>) -> Self {
        Self {
            name: name.into(),
            plugin,
            mode: Mode::Enforce,
        }
    }

    /// Lets the plugin answer a whole request.
    pub async fn answer(&self, request: &mut Request<'_>) -> Box<Reply> {
        let reply = wait(|| self.plugin.answer(request)).await;
        by(self, reply.unwrap_or_else(internal))
    }
}

impl Chain {
    /// Orders plugins by stage; within a stage the given order stays.
    pub fn new(mut links: Vec<Link>) -> Self {
        links.sort_by_key(|link| link.plugin.stage());
        Self {
            links: links.into(),
        }
    }

    /// The plugins in order.
    pub fn links(&self) -> &[Link] {
        &self.links
    }

    /// Runs the request hooks of the stages that `stages` picks. `Some` is the answer of the
    /// plugin that ended it.
    pub async fn request(
        &self,
        request: &mut Request<'_>,
        stages: impl Fn(Stage) -> bool,
    ) -> Option<Box<Reply>> {
        for link in &self.links {
            let stage = link.plugin.stage();
            // The first way that knows the caller decides; the others are not asked.
            let known = stage == Stage::Identify && request.facts.principal.is_some();
            if known || !stages(stage) {
                continue;
            }
            match link.mode {
                Mode::Enforce => match ask(link, request).await {
                    None => name_the_way(request, link),
                    refusal => return refusal,
                },
                Mode::Shadow => {
                    let before = request.facts.clone();
                    let look = request.set_look(Look::Harmless);
                    let refusal = ask(link, request).await;
                    let judged = request.set_look(look) != Look::Withheld;
                    // What it holds is what it counts by.
                    let held = std::mem::take(&mut request.facts.held);
                    *request.facts = before;
                    request.facts.held = held;
                    if judged && refusal.is_some() {
                        request.facts.would_deny.push(link.name.clone());
                    }
                }
            }
        }
        None
    }

    /// What the ways tell somebody whom none of them knows; `None` when they leave it at the 401.
    pub async fn challenge(&self, request: &mut Request<'_>) -> Option<Box<Reply>> {
        for link in &self.links {
            if link.plugin.stage() != Stage::Identify || link.mode == Mode::Shadow {
                continue;
            }
            match wait(|| link.plugin.challenge(request)).await {
                Some(Flow::Continue) => {}
                Some(Flow::Reply(reply)) => return Some(by(link, reply)),
                Some(Flow::Wait) | None => return Some(by(link, internal())),
            }
        }
        None
    }

    /// Runs the hooks on the head that the upstream gets.
    pub fn upstream_request(&self, seen: &Seen<'_>, headers: &mut HeaderMap) {
        for link in &self.links {
            match link.mode {
                Mode::Enforce => guard(|| link.plugin.upstream_request(seen, headers)),
                Mode::Shadow => guard(|| link.plugin.upstream_request(seen, &mut headers.clone())),
            };
        }
    }

    /// Runs the hooks on an answer's head, last plugin first: the outermost has the last word.
    pub fn response(&self, seen: &Seen<'_>, head: &mut ResponseHead) {
        for link in self.links.iter().rev() {
            match link.mode {
                Mode::Enforce => guard(|| link.plugin.response(seen, head)),
                // It counts by what it sees, and edits a copy.
                Mode::Shadow => guard(|| link.plugin.response(seen, &mut head.clone())),
            };
        }
    }

    /// Tells every plugin how it ended.
    pub fn log(&self, seen: &Seen<'_>, outcome: &Outcome) {
        for link in &self.links {
            guard(|| link.plugin.log(seen, outcome));
        }
    }
}

/// A proof goes by the name that the table has for its way, whatever the plugin calls it: what is
/// revoked is revoked by that name.
fn name_the_way(request: &mut Request<'_>, link: &Link) {
    if link.plugin.stage() != Stage::Identify {
        return;
    }
    if let Some(proof) = &mut request.facts.proof
        && proof.way != link.name
    {
        Arc::make_mut(proof).way = link.name.clone();
    }
}

/// Runs one plugin's request hook to its end; `Some` is its refusal.
async fn ask(link: &Link, request: &mut Request<'_>) -> Option<Box<Reply>> {
    let flow = match guard(|| link.plugin.request(request)) {
        Some(Flow::Wait) => wait(|| link.plugin.request_wait(request)).await,
        flow => flow,
    };
    match flow {
        Some(Flow::Continue) => None,
        Some(Flow::Reply(reply)) => Some(by(link, reply)),
        // A panic, or a hook that waits after its wait: the request fails, nothing else.
        Some(Flow::Wait) | None => Some(by(link, internal())),
    }
}

fn by(link: &Link, mut reply: Box<Reply>) -> Box<Reply> {
    reply.by = link.plugin.name();
    reply
}

fn internal() -> Box<Reply> {
    Box::new(Reply::problem(
        StatusCode::INTERNAL_SERVER_ERROR,
        "internal",
        "Internal error",
    ))
}

/// Runs a hook; `None` when it panicked. The panic hook has reported it by then.
fn guard<T>(hook: impl FnOnce() -> T) -> Option<T> {
    // What a panicking hook left half done is this request's facts, and the request ends in a 500.
    catch_unwind(AssertUnwindSafe(hook)).ok()
}

/// Runs a hook that takes time; `None` when it panicked.
async fn wait<'a, T>(
    hook: impl FnOnce() -> Pin<Box<dyn Future<Output = T> + Send + 'a>>,
) -> Option<T> {
    let mut later = guard(hook)?;
    std::future::poll_fn(|context| match guard(|| later.as_mut().poll(context)) {
        Some(Poll::Ready(value)) => Poll::Ready(Some(value)),
        Some(Poll::Pending) => Poll::Pending,
        None => Poll::Ready(None),
    })
    .await
}

#[cfg(test)]
mod tests;
