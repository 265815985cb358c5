//! The route table as run: resolved, compiled, immutable. A request holds one `Arc<Plan>` from its
//! first byte to its access record, so that all phases see one version.

mod access;
mod action;
mod answers;
mod caches;
mod cases;
mod compile;
mod defaults;
mod exposure;
mod identity;
mod listeners;
mod load;
mod overload;
mod plugins;
mod revocation;
mod rights;
mod rivals;
mod route;
mod routes;
mod rule;
mod shape;
mod source;
mod tls;
mod upstreams;

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ::identity::KeyRing;
pub use ::identity::Network;
use http::HeaderName;
use plugin_sdk::{Chain, Link};

use crate::action::{Forward, Redirect, Respond};
use crate::router::{Match, Router};
pub use crate::table::OnOutage;
use crate::tls::{Served, Towards};

pub use crate::table::Priority;
pub(crate) use crate::table::include::is_wild as is_pattern;
pub(crate) use load::version;
pub use load::{Loaded, Refused, load};
pub(crate) use plugins::{LIMITS, OWN_KEYS};

/// Everything that the gateway decides by.
pub struct Plan {
    /// Names this version in logs and metrics: the first 12 hex digits of the SHA-256 over its files.
    pub version: String,
    /// The sockets, by name.
    pub listeners: BTreeMap<String, Listener>,
    /// Where operators and Kubernetes ask; never reachable from outside.
    pub management: Management,
    /// How a caller is told to the upstreams.
    pub identity: Identity,
    /// Finds a route.
    pub router: Router<Arc<Route>>,
    /// All routes, by id.
    pub routes: BTreeMap<Arc<str>, Arc<Route>>,
    /// What answers meet that belong to no route.
    pub default_chain: Chain,
    /// What every request meets before anything is known of it, of which route it is or whether it
    /// has one.
    pub flood: Chain,
    /// From what load on requests are refused.
    pub overload: Bounds,
    /// All upstreams, by name.
    pub upstreams: BTreeMap<Arc<str>, Arc<Upstream>>,
    /// Where it is told who was revoked, by the way that they prove themselves.
    pub revocations: BTreeMap<Arc<str>, Revocation>,
    /// Where it is told who may what, if anywhere.
    pub rights: Option<Rights>,
    /// Cookies between us and browsers alone, each with those whose names go on after a dot.
    pub cookies: Vec<Box<str>>,
    /// The headers that credentials come in, beside `Authorization`.
    pub credentials: Vec<HeaderName>,
}

/// A socket that clients reach.
#[derive(Debug, Clone)]
pub struct Listener {
    /// Where it is bound.
    pub bind: SocketAddr,
    /// How it speaks TLS; `None` on a plain listener.
    pub tls: Option<Arc<Served>>,
    /// The port that `https` is sent on to, on a listener that does nothing else.
    pub redirect: Option<u16>,
    /// Whether every connection begins with a PROXY header.
    pub proxy_protocol: bool,
    /// Proxies whose `X-Forwarded-For` and PROXY header are believed.
    pub trusted_proxies: Vec<Network>,
    /// More connections than this wait in the kernel's queue.
    pub max_connections: usize,
    /// More connections than this from one address (IPv6: one /64) are closed at once.
    pub max_connections_per_ip: usize,
    /// From accept to the end of the TLS handshake.
    pub handshake_timeout: Duration,
    /// From the first byte of a head to its last.
    pub header_timeout: Duration,
    /// Between two requests on a connection.
    pub idle_timeout: Duration,
    /// Between two reads or two writes of a body.
    pub stall_timeout: Duration,
    /// The largest head, in bytes.
    pub max_header: usize,
}

/// Where operators and Kubernetes ask.
#[derive(Debug, Clone)]
pub struct Management {
    /// Where it is bound.
    pub bind: SocketAddr,
    /// The hosts that it may be asked as, besides addresses and `localhost`.
    pub hosts: Vec<String>,
}

/// How a caller is told to the upstreams.
pub struct Identity {
    /// The keys of the seal.
    pub keys: Arc<KeyRing>,
    /// How long a sealed statement is valid, in seconds; at most [`identity::MAX_TTL_S`].
    pub ttl_s: i64,
    /// Plain copies of parts of it, for services that only log them.
    pub plain: Vec<(HeaderName, Claim)>,
}

/// A part of the identity that may be copied into a plain header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// The subject.
    Sub,
    /// The roles, comma-separated.
    Roles,
    /// The session's id.
    Sid,
}

/// A route, ready to run.
pub struct Route {
    /// Its id: the label in metrics, logs and statements.
    pub id: Arc<str>,
    /// What becomes of requests that may.
    pub action: Action,
    /// Who may use it, as the table says it.
    pub access: Access,
    /// What they meet on the way.
    pub chain: Chain,
    /// Whether somebody must be known once the chain has run its `Identify` stage.
    pub authenticated: bool,
    /// How long the upstream may be silent: before its answer's first byte, and between two pieces
    /// of it.
    pub timeout: Duration,
    /// The largest body, in bytes.
    pub max_body: u64,
    /// How many more attempts follow when no connection could be made.
    pub connect_retries: u32,
    /// How answers are kept.
    pub cache: Option<Arc<CachePolicy>>,
    /// Whether the upstream gets the client's `Authorization`.
    pub pass_authorization: bool,
    /// Whether `Upgrade: websocket` is let through.
    pub websocket: bool,
    /// When it is refused because there is too much to do.
    pub priority: Priority,
    /// Which requests it takes.
    pub rule: Match,
}

/// Who may use a route, in the table's own words. What enforces it is the route's chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// The names of the ways to prove who is calling.
    pub ways: Vec<String>,
    /// What is demanded of the caller.
    pub demands: Option<serde_json::Value>,
    /// Why nobody has to prove anything, where that is so.
    pub why_public: Option<String>,
}

/// From what load on requests are refused, see [`crate::overload`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Requests being answered at once.
    pub in_flight: usize,
    /// How late timers may be; `None` doesn't look.
    pub lag: Option<Duration>,
}

/// What becomes of a request that its route lets through.
#[derive(Clone)]
pub enum Action {
    /// It goes to an upstream.
    Forward(Forward),
    /// The client is sent elsewhere.
    Redirect(Redirect),
    /// It gets the same answer as everybody.
    Respond(Respond),
    /// A plugin answers it.
    Answer(Link),
}

impl Action {
    /// How it goes on, if it does.
    pub fn forward(&self) -> Option<&Forward> {
        match self {
            Self::Forward(forward) => Some(forward),
            Self::Redirect(_) | Self::Respond(_) | Self::Answer(_) => None,
        }
    }

    /// Where it goes, if it goes on; where it may go to several, the one that most go to.
    pub fn upstream(&self) -> Option<&Arc<Upstream>> {
        let forward = self.forward()?;
        forward.shares.first().map(|share| &share.upstream)
    }
}

/// As a sentence's end: `goes on to users`.
impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Forward(forward) => {
                let names = forward
                    .shares
                    .iter()
                    .map(|share| match &forward.shares[..] {
                        [_] => share.upstream.name.to_string(),
                        _ => format!("{} ({})", share.upstream.name, share.weight),
                    });
                write!(f, "goes on to {}", names.collect::<Vec<_>>().join(" or "))
            }
            Self::Redirect(redirect) => {
                write!(
                    f,
                    "is redirected to {} with {}",
                    redirect.text(),
                    redirect.status.as_u16()
                )
            }
            Self::Respond(respond) => write!(f, "is answered with {}", respond.status.as_u16()),
            Self::Answer(link) => write!(f, "is answered by {}", link.name),
        }
    }
}

/// How it is learnt that what somebody proved is good no longer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revocation {
    /// The upstream that tells it.
    pub feed: Arc<str>,
    /// What holds while nobody tells.
    pub on_outage: OnOutage,
    /// For how long nobody may have told before that is an outage.
    pub patience: Duration,
    /// The Redis over which it is told sooner (`redis://…`).
    pub redis: Option<Arc<str>>,
}

/// Where it is told who may what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rights {
    /// The upstream that tells it.
    pub upstream: Arc<str>,
    /// For how long it may not have been heard before that is an outage.
    pub patience: Duration,
    /// For how long what was last told holds.
    pub hold: Duration,
    /// The Redis over which it is told sooner that there is news (`redis://…`).
    pub redis: Option<Arc<str>>,
}

/// Addresses that serve the same thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    /// Its name: the audience of the statements sealed for it.
    pub name: Arc<str>,
    /// `host:port` each; names are resolved in the background.
    pub targets: Vec<String>,
    /// How TLS is spoken to it; `None` in plain HTTP.
    pub tls: Option<Arc<Towards>>,
    /// Whether it is spoken to in HTTP/2.
    pub h2: bool,
    /// For a TCP connect.
    pub connect_timeout: Duration,
    /// How health is asked for.
    pub health: Option<Health>,
}

/// A periodic question whether a target lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// The path asked for; 2xx means yes.
    pub path: String,
    /// Between two questions.
    pub every: Duration,
}

/// How a route's answers are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CachePolicy {
    /// Its name in the route table.
    pub name: Arc<str>,
    /// How long an answer is fresh, when the upstream does not say.
    pub ttl: Duration,
    /// How long a stale answer may be served while one request fetches a new one.
    pub stale: Duration,
    /// Request headers that the answer depends on, in lower case.
    pub vary: Vec<HeaderName>,
    /// The most bytes that all answers under this policy may take.
    pub max_size: u64,
}
