//! What one request carries from callback to callback.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use http::{HeaderMap, Method, StatusCode, Uri};
use pingora::proxy::Session;
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorSource, ErrorType, Result};
use plugin_sdk::{Chain, Facts, Head, Outcome, Seen};
use time::OffsetDateTime;
use uuid::Uuid;

use super::body::BodyState;
use super::{Shared, fault};
use crate::access_log::{self, Record};
use crate::decide::Located;
use crate::forward::{self, Forward, Trace};
use crate::listener::{Patient, Turn};
use crate::plan::{self, CachePolicy, Plan, Route};
use crate::upstream::{Lease, MAX_ATTEMPTS};
use crate::{cache, framing, metrics};

/// A WebSocket may be silent for this long.
const WEBSOCKET_SILENCE: Duration = Duration::from_secs(600);

/// What one request carries. Dropping it, after a panic too, writes its record and gives back what
/// it took.
pub struct Context {
    shared: Arc<Shared>,
    plan: Arc<Plan>,
    started: Instant,
    at: OffsetDateTime,
    turn: Option<Arc<Turn>>,
    pub(super) head: OwnHead,
    route: Option<Arc<Route>>,
    pub(super) facts: Facts,
    pub(super) body: BodyState,
    pub(super) preflight: bool,
    /// Whether it refreshes a stale answer behind a request that has been served.
    pub(super) background: bool,
    pub(super) tls: bool,
    websocket: bool,
    via: Option<IpAddr>,
    authority: String,
    trace: Trace,
    closing: bool,
    attempts: u32,
    tried: Vec<SocketAddr>,
    lease: Option<Lease>,
    asked: Option<Instant>,
    upstream_took: Option<Duration>,
    code: &'static str,
    refused_by: &'static str,
    ended: Option<Ended>,
}

/// A request's head in canonical form, less its headers, which stay with the session.
pub(super) struct OwnHead {
    pub(super) method: Method,
    pub(super) host: String,
    pub(super) path: String,
    pub(super) query: Option<String>,
    pub(super) client: IpAddr,
}

/// What only the session knows when a request has ended.
struct Ended {
    status: Option<StatusCode>,
    bytes_in: u64,
    bytes_out: u64,
    protocol: &'static str,
    tls: String,
    cache: &'static str,
}

impl OwnHead {
    pub(super) fn view<'a>(&'a self, headers: &'a HeaderMap) -> Head<'a> {
        Head {
            method: &self.method,
            host: &self.host,
            path: &self.path,
            query: self.query.as_deref(),
            headers,
            client: self.client,
        }
    }
}

impl Context {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        shared.metrics.in_flight.inc();
        Self {
            plan: shared.plan.load_full(),
            started: Instant::now(),
            at: OffsetDateTime::now_utc(),
            turn: None,
            head: OwnHead {
                method: Method::GET,
                host: String::new(),
                path: String::new(),
                query: None,
                client: IpAddr::from([0, 0, 0, 0]),
            },
            route: None,
            facts: Facts {
                request_id: Uuid::now_v7().simple().to_string(),
                ..Facts::default()
            },
            body: BodyState::default(),
            preflight: false,
            background: false,
            tls: false,
            websocket: false,
            via: None,
            authority: String::new(),
            trace: Trace::of(&HeaderMap::new(), Uuid::new_v4().into_bytes()),
            closing: false,
            attempts: 0,
            tried: Vec::new(),
            lease: None,
            asked: None,
            upstream_took: None,
            code: "",
            refused_by: "",
            ended: None,
            shared,
        }
    }

    /// Learns what the connection and the head say before anything is judged.
    pub(super) fn begin(&mut self, session: &Session, listener: &plan::Listener) {
        let patient = session
            .stream()
            .and_then(|stream| stream.as_any().downcast_ref::<Patient>());
        self.turn = patient.map(Patient::turn);
        if let Some(turn) = &self.turn {
            turn.begin();
        }
        let head = session.req_header();
        let socket = session.client_addr().and_then(|address| address.as_inet());
        let socket = socket.map_or(self.head.client, |address| address.ip().to_canonical());
        self.head.client = forward::client(socket, &head.headers, &listener.trusted_proxies);
        self.via = (self.head.client != socket).then_some(socket);
        self.head.method = head.method.clone();
        self.head.path = head.uri.path().to_owned();
        self.head.query = head.uri.query().map(str::to_owned);
        self.authority = framing::authority(head).unwrap_or_default().to_owned();
        self.trace = Trace::of(&head.headers, Uuid::new_v4().into_bytes());
        self.background = session.subrequest_ctx.is_some();
        self.tls = listener.tls.is_some();
        self.websocket = head.headers.contains_key(http::header::UPGRADE);
    }

    /// Takes the route and the canonical form.
    pub(super) fn locate(&mut self, located: Located) {
        self.facts.route = located.route.id.clone();
        self.facts.params = located.params;
        self.head.host = located.host;
        self.head.path = located.path;
        self.preflight = located.preflight;
        self.route = Some(located.route);
    }

    pub(super) fn plan(&self) -> &Plan {
        &self.plan
    }

    pub(super) fn route(&self) -> Option<&Arc<Route>> {
        self.route.as_ref()
    }

    pub(super) fn cache_policy(&self) -> Option<Arc<CachePolicy>> {
        self.route.as_ref()?.cache.clone()
    }

    /// Whether the client asks for a WebSocket. On a route that has none it was refused by now.
    pub(super) fn websocket(&self) -> bool {
        self.websocket
    }

    /// Whether its answer says what the cache did.
    pub(crate) fn has_cache(&self) -> bool {
        self.route
            .as_ref()
            .is_some_and(|route| route.cache.is_some())
    }

    /// The upstream's name; empty before one was asked.
    pub(super) fn upstream_name(&self) -> Arc<str> {
        match (&self.route, self.attempts) {
            (Some(route), 1..) => route.upstream.name.clone(),
            _ => Arc::default(),
        }
    }

    /// Lets the plugins look: those of the route, or those that every answer meets.
    pub(crate) fn seen(&self, headers: &HeaderMap, look: impl FnOnce(&Chain, &Seen<'_>)) {
        let chain = match &self.route {
            Some(route) => &route.chain,
            None => &self.plan.default_chain,
        };
        let seen = Seen {
            head: self.head.view(headers),
            facts: &self.facts,
        };
        look(chain, &seen);
    }

    /// What our own answers need: the request's id, and whether it is a `HEAD`.
    pub(crate) fn facts(&self) -> &Facts {
        &self.facts
    }

    /// The method that the client used; the cache may ask the upstream with another.
    pub(crate) fn method(&self) -> &Method {
        &self.head.method
    }

    /// The connection can't be trusted to be in step any more: it closes after the answer.
    pub(super) fn refuse_connection(&mut self) {
        self.closing = true;
    }

    /// Whether the connection closes after the answer.
    pub(crate) fn closing(&self) -> bool {
        self.closing
    }

    /// We answer ourselves: with which code, and who decided it.
    pub(crate) fn refused(&mut self, code: &'static str, by: &'static str) {
        (self.code, self.refused_by) = (code, if by.is_empty() { "gateway" } else { by });
        let route = self
            .route
            .as_ref()
            .map_or(metrics::NO_ROUTE, |route| &*route.id);
        self.shared
            .metrics
            .refused
            .with_label_values(&[route, code, self.refused_by])
            .inc();
    }

    // Towards the upstream.

    /// Takes a target for one more attempt; `None` when none is known.
    pub(super) fn attempt(&mut self) -> Option<Box<HttpPeer>> {
        let route = self.route.as_ref()?;
        self.attempts += 1;
        self.body.again();
        let group = self.shared.upstreams.group(&route.upstream);
        let Some(lease) = group.choose(&self.tried) else {
            group.failed("no_target");
            return None;
        };
        let silence = if self.websocket {
            WEBSOCKET_SILENCE
        } else {
            route.timeout
        };
        let peer = lease.peer(silence);
        self.asked.get_or_insert_with(Instant::now);
        self.lease = Some(lease);
        Some(peer)
    }

    pub(super) fn attempts(&self) -> u32 {
        self.attempts
    }

    pub(super) fn may_connect_again(&self) -> bool {
        let retries = self.route.as_ref().map_or(0, |route| route.connect_retries);
        self.attempts <= retries && self.attempts < MAX_ATTEMPTS
    }

    pub(super) fn unreachable(&mut self, error: &Error) {
        if let Some(lease) = self.lease.take() {
            lease.unreachable(fault::reason(error));
            self.tried.push(lease.address());
        }
    }

    pub(super) fn connected(&self, reused: bool) {
        if let Some(lease) = &self.lease {
            lease.connected(reused);
        }
    }

    pub(super) fn broken(&self, error: &Error) {
        if let (Some(lease), ErrorSource::Upstream) = (&self.lease, error.esource()) {
            lease.group().failed(fault::reason(error));
        }
    }

    pub(super) fn answered_by_upstream(&mut self) {
        self.upstream_took = self.asked.map(|asked| asked.elapsed());
    }

    pub(super) fn count(&mut self, bytes: usize) -> Result<()> {
        let most = match &self.route {
            // After the handshake these are no body.
            Some(_) if self.websocket => return Ok(()),
            Some(route) => route.max_body,
            None => 0,
        };
        self.body.count(bytes, most)
    }

    /// What is said to the upstream about this request.
    pub(super) fn forward(&self) -> Result<Forward<'_>> {
        let route = self.route.as_ref().ok_or_else(unrouted)?;
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        Ok(Forward {
            identity: &self.plan.identity,
            principal: self.facts.principal.as_deref(),
            upstream: &route.upstream.name,
            route: &route.id,
            request_id: &self.facts.request_id,
            client: self.head.client,
            via: self.via,
            authority: &self.authority,
            tls: self.tls,
            trace: &self.trace,
            websocket: self.websocket,
            now: now.map_or(0, |past| i64::try_from(past.as_secs()).unwrap_or(i64::MAX)),
        })
    }

    /// The canonical path that was judged, and the query as it came.
    pub(super) fn target(&self) -> Result<Uri> {
        let text = match &self.head.query {
            Some(query) => format!("{}?{query}", self.head.path),
            None => self.head.path.clone(),
        };
        text.parse()
            .map_err(|_| Error::explain(ErrorType::InternalError, "a canonical path is no target"))
    }

    // The end.

    /// Method and canonical path: never the query, where secrets are.
    pub(super) fn summary(&self) -> String {
        format!("{} {}", self.head.method, self.head.path)
    }

    pub(super) fn finish(&mut self, session: &Session) {
        let size = |bytes: usize| u64::try_from(bytes).unwrap_or(u64::MAX);
        let tls = session
            .digest()
            .and_then(|digest| digest.ssl_digest.as_ref());
        self.ended = Some(Ended {
            status: session.response_written().map(|answer| answer.status),
            bytes_in: size(session.body_bytes_read()),
            bytes_out: size(session.body_bytes_sent()),
            protocol: if session.is_http2() { "h2" } else { "h1" },
            // `TLSv1_3`, as the library below writes it.
            tls: tls
                .map(|tls| tls.version.replace("TLSv", "").replace('_', "."))
                .unwrap_or_default(),
            cache: cache::outcome(session.cache.phase()),
        });
        let headers = &session.req_header().headers;
        let outcome = Outcome {
            status: self.status(),
            took: self.started.elapsed(),
            refused_by: (!self.refused_by.is_empty()).then_some(self.refused_by),
        };
        self.seen(headers, |chain, seen| chain.log(seen, &outcome));
    }

    fn status(&self) -> Option<StatusCode> {
        self.ended.as_ref()?.status
    }

    fn record(&self) -> Record {
        let ended = self.ended.as_ref();
        Record {
            at: self.at,
            request_id: self.facts.request_id.clone(),
            trace_id: self.trace.trace_id.clone(),
            route: self.facts.route.clone(),
            method: self.head.method.to_string(),
            path: self.head.path.clone(),
            query: self
                .head
                .query
                .as_deref()
                .map(access_log::query_names)
                .unwrap_or_default(),
            status: self.status().map(|status| status.as_u16()),
            code: self.code,
            bytes_in: ended.map_or(0, |ended| ended.bytes_in),
            bytes_out: ended.map_or(0, |ended| ended.bytes_out),
            took_us: micros(self.started.elapsed()),
            upstream: self.upstream_name(),
            upstream_us: self.upstream_took.map(micros),
            client: Some(self.head.client),
            user: self.facts.principal.as_ref().map(|who| who.sub.clone()),
            protocol: ended.map_or("", |ended| ended.protocol),
            tls: ended.map(|ended| ended.tls.clone()).unwrap_or_default(),
            cache: ended.map_or("", |ended| ended.cache),
            refused_by: self.refused_by,
            aborted: self.status().is_none(),
        }
    }

    fn measure(&self) {
        let metrics = &self.shared.metrics;
        let route = self
            .route
            .as_ref()
            .map_or(metrics::NO_ROUTE, |route| &*route.id);
        let class = metrics::status_class(self.status());
        metrics
            .duration
            .with_label_values(&[route, metrics::method(&self.head.method), class])
            .observe(self.started.elapsed().as_secs_f64());
        if self.status().is_none() {
            metrics.aborted.inc();
        }
        let outcome = self.ended.as_ref().map_or("", |ended| ended.cache);
        if let (Some(policy), false) = (self.cache_policy(), outcome.is_empty()) {
            metrics
                .cache
                .with_label_values(&[&*policy.name, outcome])
                .inc();
        }
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        self.shared.metrics.in_flight.dec();
        // The refresh of a stale answer is nobody's request: it has no record.
        if !self.background {
            self.measure();
            self.shared.log.record(Box::new(self.record()));
        }
        if let Some(turn) = &self.turn {
            turn.end();
        }
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

fn unrouted() -> Box<Error> {
    Error::explain(ErrorType::InternalError, "forwarded without a route")
}
