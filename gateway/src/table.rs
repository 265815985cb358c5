//! The route table as written. The doc comments of these types are its manual: the JSON Schema
//! that editors show is made of them.
//!
//! Each named entry is read on its own ([`read`]), so that one mistake does not hide the next.

pub(crate) mod case;
pub(crate) mod destination;
pub(crate) mod document;
pub(crate) mod include;
pub(crate) mod listener;
pub(crate) mod percent;
pub(crate) mod read;
pub(crate) mod retries;
pub(crate) mod route;
pub(crate) mod size;
pub(crate) mod suggest;
pub(crate) mod tls_version;
pub(crate) mod to_https;
pub(crate) mod validation;
pub(crate) mod wanted;

use std::collections::BTreeMap;

use plugin_sdk::Period;
use schemars::JsonSchema;
use serde::Deserialize;

pub use case::{Caller, Case, Expect};
pub use destination::Destination;
pub use listener::{Clients, KeyPair, Listener, Protocol, ProxyProtocol, Tls};
pub use percent::Percent;
pub use plugin_sdk::{OneOrMany, Reference};
pub use retries::{Fault, Retries, RetryOn};
pub use route::{Match, Mirror, Redirect, Respond, Route};
pub use size::Size;
pub use tls_version::TlsVersion;
pub use to_https::ToHttps;
pub use validation::{Judgement, Validation};
pub use wanted::Wanted;

/// How it is learnt that what a caller proved is good no longer: an upstream tells it, and each
/// gateway keeps in memory what it was told. `auth.user.revocation` goes beside `auth.user.jwt`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Revocation {
    /// The upstream that tells it, at `/internal/v1/revocations`. It is asked twice a second; where
    /// the table names a `redis`, it pushes over that what is revoked, and is asked when it doesn't.
    pub feed: String,
    /// What holds while neither can be heard.
    pub on_outage: OnOutage,
    /// How long neither may have been heard before that counts as an outage; at least `2s`.
    /// Default: `10s`.
    #[serde(default)]
    pub patience: Option<Period>,
}

/// What holds while it can't be told whether a caller was revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnOutage {
    /// Who was not revoked before passes, and each that passes is counted.
    Allow,
    /// Nobody passes (503), and what is under way is cut.
    Deny,
}

/// Where it is told who may what: which permissions a role grants, and the rules of APIs. Routes ask
/// for both under `allow`: `permissions`, `acl`. Each gateway keeps the whole of it in memory.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rights {
    /// The upstream that tells it, at `/internal/v1/authz`. A question waits there until something
    /// changes; where the table names a `redis`, the upstream pushes over that when to ask at once.
    pub upstream: String,
    /// What holds while it can't be asked. Until it has answered for the first time, whoever must be
    /// judged by it is answered 503 in either case.
    pub on_outage: LastKnown,
    /// With `on_outage: stale`: how long what was last told holds; then 503. Default: `10m`.
    #[serde(default)]
    pub stale: Option<Period>,
    /// How long it may not have been heard before that counts as an outage; at least `2s`.
    /// Default: `10s`.
    #[serde(default)]
    pub patience: Option<Period>,
}

/// What holds while nobody tells who may what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LastKnown {
    /// Whoever must be judged by it is answered 503.
    Deny,
    /// What was last told, for a while.
    Stale,
}

/// What stands for every route that says nothing else.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Defaults {
    /// How long an upstream may be silent: from the request's last byte to the answer's first, and
    /// between two pieces of the answer. Default: `5s`.
    pub timeout: Option<Period>,
    /// The largest body of a request. Default: `1MiB`.
    pub max_body: Option<Size>,
    /// The largest head of a request. Default: `32KiB`.
    pub max_header: Option<Size>,
    /// When a request is sent again. Default: once more, when no connection could be made.
    pub retries: Option<Retries>,
    /// Plugins, by name, that every request meets, before those of its route.
    pub plugins: Vec<String>,
    /// Limits, by name, that every request meets before anything else: those without a route and
    /// those with a bad token too. Only limits that count `per: ip`.
    pub limits: Vec<String>,
}

/// From what load on requests are refused, those of `priority: low` first.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Overload {
    /// Requests being answered at once. At 70 % low ones are refused with 503, at 85 % normal
    /// ones, at this number all. Default: 10000.
    pub in_flight: Option<std::num::NonZeroUsize>,
    /// How late the process's timers are, at least `10ms`: from then on low ones are refused, at
    /// twice this normal ones, at four times all. Default: it is not looked at.
    pub lag: Option<Period>,
}

/// How important a route is when not all can be served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    /// Refused last.
    Critical,
    /// Most are.
    #[default]
    Normal,
    /// Refused first.
    Low,
}

impl Priority {
    /// As the table says it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::Normal => "normal",
            Self::Low => "low",
        }
    }
}

/// Where operators and Kubernetes ask: `/livez`, `/readyz`, `/metrics`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Management {
    /// The address and port. Keep it away from clients: nothing guards it.
    pub bind: std::net::SocketAddr,
    /// Further hosts that it may be asked as, without port. Addresses and `localhost` always may;
    /// anything else is refused (421), so that no web page reaches it by a name of its own.
    #[serde(default)]
    pub hosts: Vec<String>,
}

/// How a caller is told to the upstreams. The only source of these headers: a client's own are
/// always removed, on every route.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// Plain copies, for services that only log them: header name to claim.
    #[serde(default)]
    pub headers: BTreeMap<String, Claim>,
    /// The sealed statement in `x-identity`, which backends verify.
    pub sign: Sign,
}

/// A part of the identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Claim {
    /// The subject.
    Sub,
    /// The roles, comma-separated.
    Roles,
    /// The session's id.
    Sid,
}

/// The seal of the statement.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sign {
    /// The keys: one a line, 64 hex digits each. The first seals, all of them open.
    pub key: Reference,
    /// How long a statement is valid; at most `60s`. Default: `60s`.
    #[serde(default)]
    pub ttl: Option<Period>,
}

/// Addresses that serve the same thing.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Upstream {
    /// Where it is: `http://host:port` each, or `https://host:port` each.
    pub targets: Vec<String>,
    /// The protocol spoken to it. `h2` is HTTP/2: chosen in the handshake with `https`, with `http`
    /// without asking, so every target must speak it. gRPC needs it. Default: `h1`.
    #[serde(default)]
    pub http: Option<Protocol>,
    /// How targets at `https` prove who they are, and what we prove to them.
    #[serde(default)]
    pub tls: Option<UpstreamTls>,
    /// How it is asked whether it lives. Default: it is not asked, failing connections tell.
    #[serde(default)]
    pub health: Option<Health>,
    /// How long a connection may take to come about, its handshake too. Default: `1s`.
    #[serde(default)]
    pub connect_timeout: Option<Period>,
}

/// TLS towards an upstream. All files are watched: renewed ones hold from the next connection on.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct UpstreamTls {
    /// The authorities that its certificates come from, as PEM; no others then. Default: those that
    /// the system trusts (`SSL_CERT_FILE` and `SSL_CERT_DIR` count).
    pub ca: Option<String>,
    /// The certificate chain that we prove ourselves with, as PEM, leaf first.
    pub cert: Option<String>,
    /// Its private key, as PEM.
    pub key: Option<String>,
    /// The name that its certificates must prove. Default: the host of each target.
    pub server_name: Option<String>,
}

/// A periodic question whether a target lives.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Health {
    /// The path asked for; 2xx means yes.
    pub path: String,
    /// Between two questions. Default: `2s`.
    #[serde(default)]
    pub every: Option<Period>,
}

/// How answers of public routes are kept.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Cache {
    /// How long an answer is fresh when the upstream does not say.
    pub ttl: Period,
    /// How long a stale answer is served while one request fetches a new one. Default: `0s`.
    #[serde(default)]
    pub stale: Option<Period>,
    /// Request headers that the answer depends on.
    #[serde(default)]
    pub vary: Vec<String>,
    /// The most that all answers under this name may take. Default: `16MiB`.
    #[serde(default)]
    pub max_size: Option<Size>,
}
