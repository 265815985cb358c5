use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use http::{HeaderMap, StatusCode};

use crate::{AnyPlugin, Flow, Outcome, Reply, Request, ResponseHead, Seen, Stage};

/// One plugin in a chain, under the name that the route table gives it.
#[derive(Clone)]
pub struct Link {
    /// The name in the route table: `login` for a limit, `user` for a way to prove who one is.
    pub name: Arc<str>,
    /// The plugin.
    pub plugin: Arc<dyn AnyPlugin>,
}

/// A route's plugins, in the order in which a request meets them.
#[derive(Clone, Default)]
pub struct Chain {
    links: Box<[Link]>,
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
            if !stages(link.plugin.stage()) {
                continue;
            }
            let flow = match guard(|| link.plugin.request(request)) {
                Some(Flow::Wait) => wait(link, request).await,
                flow => flow,
            };
            match flow {
                Some(Flow::Continue) => {}
                Some(Flow::Reply(mut reply)) => {
                    reply.by = link.plugin.name();
                    return Some(reply);
                }
                // A panic, or a hook that waits after its wait: the request fails, nothing else.
                Some(Flow::Wait) | None => {
                    let mut reply = Reply::problem(
                        StatusCode::INTERNAL_SERVER_ERROR,
                        "internal",
                        "Internal error",
                    );
                    reply.by = link.plugin.name();
                    return Some(Box::new(reply));
                }
            }
        }
        None
    }

    /// Runs the hooks on the head that the upstream gets.
    pub fn upstream_request(&self, seen: &Seen<'_>, headers: &mut HeaderMap) {
        for link in &self.links {
            guard(|| link.plugin.upstream_request(seen, headers));
        }
    }

    /// Runs the hooks on an answer's head, last plugin first: the outermost has the last word.
    pub fn response(&self, seen: &Seen<'_>, head: &mut ResponseHead) {
        for link in self.links.iter().rev() {
            guard(|| link.plugin.response(seen, head));
        }
    }

    /// Tells every plugin how it ended.
    pub fn log(&self, seen: &Seen<'_>, outcome: &Outcome) {
        for link in &self.links {
            guard(|| link.plugin.log(seen, outcome));
        }
    }
}

/// Runs a hook; `None` when it panicked. The panic hook has reported it by then.
fn guard<T>(hook: impl FnOnce() -> T) -> Option<T> {
    // What a panicking hook left half done is this request's facts, and the request ends in a 500.
    catch_unwind(AssertUnwindSafe(hook)).ok()
}

async fn wait(link: &Link, request: &mut Request<'_>) -> Option<Flow> {
    let mut later = pin!(guard(|| link.plugin.request_wait(request))?);
    std::future::poll_fn(|context| match guard(|| later.as_mut().poll(context)) {
        Some(Poll::Ready(flow)) => Poll::Ready(Some(flow)),
        Some(Poll::Pending) => Poll::Pending,
        None => Poll::Ready(None),
    })
    .await
}

#[cfg(test)]
mod tests;
