//! What becomes of a request that its route lets through: where it goes and under which path, or
//! what it is answered with. All of it pure.

mod redirect;
mod rewrite;
mod share;

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode};
use plugin_sdk::{Params, Reply};

use crate::plan::Upstream;
use crate::router::Pattern;
use crate::table::Percent;

pub use redirect::{Redirect, TargetError};
pub use rewrite::{Rewrite, RewriteError};
pub use share::{Share, choose};

/// On to an upstream.
#[derive(Debug, Clone)]
pub struct Forward {
    /// Where requests go, and how many of them; never empty. The one with most of them is first.
    pub shares: Vec<Share>,
    /// Under which path.
    pub rewrite: Rewrite,
    /// Who gets a copy.
    pub mirror: Option<Mirror>,
}

impl Forward {
    /// All to one upstream, under the path as it was judged.
    pub fn to(upstream: Arc<Upstream>) -> Self {
        Self {
            shares: vec![Share {
                upstream,
                weight: 1,
            }],
            rewrite: Rewrite::None,
            mirror: None,
        }
    }
}

/// Copies for an upstream whose answers nobody waits for.
#[derive(Debug, Clone)]
pub struct Mirror {
    /// Who gets them.
    pub upstream: Arc<Upstream>,
    /// Of how many requests, in hundredths of a percent: 10,000 is all of them.
    pub share: u32,
}

/// As a reader says it: `2.5% of it to next`.
impl fmt::Display for Mirror {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of it to {}", Percent(self.share), self.upstream.name)
    }
}

impl Mirror {
    /// Whether the request of this id is copied.
    pub fn picks(&self, request_id: &str) -> bool {
        share::spread(&[request_id.as_bytes()]) % 10_000 < u64::from(self.share)
    }
}

/// The same answer to everybody.
#[derive(Debug, Clone)]
pub struct Respond {
    /// The status.
    pub status: StatusCode,
    /// Headers besides `content-type` and `content-length`.
    pub headers: HeaderMap,
    /// The body and its type.
    pub content: Option<(HeaderValue, Bytes)>,
}

impl Respond {
    /// The answer.
    pub fn reply(&self) -> Reply {
        let mut reply = match &self.content {
            Some((kind, body)) => Reply::whole(self.status, kind.clone(), body.clone()),
            None => Reply::empty(self.status),
        };
        reply.headers = self.headers.clone();
        reply.by = "respond";
        reply
    }
}

/// What a template is filled in with.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The route's own pattern.
    pub pattern: &'a Pattern,
    /// What its parameters caught.
    pub params: &'a Params,
    /// The canonical path.
    pub path: &'a str,
    /// The query as it came, without the `?`.
    pub query: Option<&'a str>,
}

impl<'a> Asked<'a> {
    /// What a parameter caught, in canonical form: it has no separator in it.
    fn param(&self, name: &str) -> &'a str {
        let caught = self.params.iter().find(|(known, _)| **known == *name);
        caught.map_or("", |(_, value)| value)
    }

    /// What the pattern's `/**` took: empty, or from a slash on.
    fn tail(&self) -> &'a str {
        rewrite::after(self.path, self.pattern.segments().len())
    }
}
