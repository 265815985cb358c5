//! What one request carries from callback to callback.

mod attempt;
mod ending;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{HeaderMap, Method};
use pingora::proxy::Session;
use plugin_sdk::{Chain, Facts, Head, Reply, Request, Seen};
use time::OffsetDateTime;
use uuid::Uuid;

use super::Shared;
use super::body::BodyState;
use crate::action::Asked;
use crate::decide::Located;
use crate::forward::{self, Trace};
use crate::listener::{Patient, Turn, Visit};
use crate::mirror::Copied;
use crate::plan::{self, CachePolicy, Plan, Route};
use crate::revocation::{Leash, Tie};
use crate::upstream::Lease;
use crate::{decide, framing, metrics};
use ending::Ended;

/// What one request carries. Dropping it, after a panic too, writes its record and gives back what
/// it took.
pub struct Context {
    shared: Arc<Shared>,
    plan: Arc<Plan>,
    started: Instant,
    at: OffsetDateTime,
    turn: Option<Arc<Turn>>,
    max_head: usize,
    redirect: Option<u16>,
    pub(super) head: OwnHead,
    route: Option<Arc<Route>>,
    pub(super) facts: Facts,
    pub(super) body: BodyState,
    pub(super) preflight: bool,
    /// Whether it refreshes a stale answer behind a request that has been served.
    pub(super) background: bool,
    websocket: bool,
    /// Whether it has become a WebSocket, which is not being answered any more.
    tunnel: bool,
    via: Option<IpAddr>,
    trace: Trace,
    closing: bool,
    attempts: u32,
    tried: Vec<SocketAddr>,
    lease: Option<Lease>,
    /// Where it goes, once that is chosen.
    upstream: Option<Arc<plan::Upstream>>,
    copied: Option<Copied>,
    /// Whether a copy went out: another attempt does not send a second one.
    mirrored: bool,
    asked: Option<Instant>,
    upstream_took: Option<Duration>,
    code: &'static str,
    refused_by: &'static str,
    ended: Option<Ended>,
    /// By which it is cut when its caller is revoked,
    leash: Option<Arc<Leash>>,
    /// and what ties it to that caller.
    tie: Option<Tie>,
}

/// A request's head in canonical form, less its headers, which stay with the session.
pub(super) struct OwnHead {
    pub(super) method: Method,
    pub(super) host: String,
    pub(super) authority: String,
    pub(super) path: String,
    /// The path under which the upstream gets it, where the route rewrites it.
    pub(super) forwarded: Option<String>,
    pub(super) query: Option<String>,
    pub(super) client: IpAddr,
    /// `None` until the first callback of a request.
    pub(super) visit: Option<Arc<Visit>>,
}

impl OwnHead {
    pub(super) fn view<'a>(&'a self, headers: &'a HeaderMap) -> Head<'a> {
        Head {
            method: &self.method,
            host: &self.host,
            authority: &self.authority,
            path: &self.path,
            forwarded: self.forwarded.as_deref().unwrap_or(&self.path),
            query: self.query.as_deref(),
            headers,
            client: self.client,
            connection: self
                .visit
                .as_ref()
                .map_or(&decide::NO_CONNECTION, |visit| &visit.connection),
        }
    }
}

impl Context {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        shared.metrics.in_flight.inc();
        shared.overload.enter();
        Self {
            plan: shared.plan.load_full(),
            started: Instant::now(),
            at: OffsetDateTime::now_utc(),
            turn: None,
            max_head: 0,
            redirect: None,
            head: OwnHead {
                method: Method::GET,
                host: String::new(),
                authority: String::new(),
                path: String::new(),
                forwarded: None,
                query: None,
                client: IpAddr::from([0, 0, 0, 0]),
                visit: None,
            },
            route: None,
            facts: Facts {
                request_id: Uuid::now_v7().simple().to_string(),
                ..Facts::default()
            },
            body: BodyState::default(),
            preflight: false,
            background: false,
            websocket: false,
            tunnel: false,
            via: None,
            trace: Trace::default(),
            closing: false,
            attempts: 0,
            tried: Vec::new(),
            lease: None,
            upstream: None,
            copied: None,
            mirrored: false,
            asked: None,
            upstream_took: None,
            code: "",
            refused_by: "",
            ended: None,
            leash: Leash::here(),
            tie: None,
            shared,
        }
    }

    /// Learns what the connection and the head say before anything is judged.
    pub(super) fn begin(
        &mut self,
        session: &Session,
        visit: Arc<Visit>,
        listener: &plan::Listener,
    ) {
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
        self.head.authority = framing::authority(head).unwrap_or_default().to_owned();
        self.trace = Trace::of(&head.headers, Uuid::new_v4().into_bytes());
        self.background = session.subrequest_ctx.is_some();
        self.head.visit = Some(visit);
        self.max_head = listener.max_header;
        self.redirect = listener.redirect;
        self.websocket = head.headers.contains_key(http::header::UPGRADE);
        if let Some(refused) = self.turn.as_ref().and_then(|turn| turn.refused()) {
            let unknown = || Method::from_bytes(b"-").unwrap_or_default();
            self.head.method = refused.method.parse().unwrap_or_else(|_| unknown());
            self.head.path.clone_from(&refused.path);
            self.head.authority.clear();
        }
    }

    /// Why the listener refused the head that should have begun this request, or its body.
    pub(super) fn refused_head(&self) -> Option<framing::Fault> {
        let refused = self.turn.as_ref()?.refused()?;
        Some(refused.fault)
    }

    /// Takes the route and the canonical form.
    pub(super) fn locate(&mut self, located: Located) {
        self.facts.route = located.route.id.clone();
        self.facts.params = located.params;
        self.head.host = located.host;
        self.head.path = located.path;
        self.head.forwarded = located.forwarded;
        self.preflight = located.preflight;
        self.route = Some(located.route);
    }

    /// Whether the client's connection is encrypted.
    pub(super) fn is_encrypted(&self) -> bool {
        let visit = self.head.visit.as_ref();
        visit.is_some_and(|visit| visit.connection.tls)
    }

    /// Whether a request for this host came over a connection that was made for another.
    pub(super) fn is_misdirected(&self, host: &str) -> bool {
        let visit = self.head.visit.as_ref();
        visit.is_some_and(|visit| visit.misdirects(host))
    }

    /// The largest head that its listener takes, in bytes.
    pub(super) fn max_head(&self) -> usize {
        self.max_head
    }

    /// The port of `https`, where its listener sends everybody on.
    pub(super) fn redirect(&self) -> Option<u16> {
        self.redirect
    }

    pub(crate) fn plan(&self) -> &Plan {
        &self.plan
    }

    pub(super) fn route(&self) -> Option<&Arc<Route>> {
        self.route.as_ref()
    }

    /// What the templates of its route are filled in with.
    pub(super) fn asked<'a>(&'a self, route: &'a Route) -> Asked<'a> {
        Asked {
            pattern: &route.rule.path,
            params: &self.facts.params,
            path: &self.head.path,
            query: self.head.query.as_deref(),
        }
    }

    pub(super) fn cache_policy(&self) -> Option<Arc<CachePolicy>> {
        self.route.as_ref()?.cache.clone()
    }

    /// From here on the connection is a WebSocket's.
    pub(super) fn hand_over(&self) {
        if let Some(turn) = &self.turn {
            turn.hand_over();
        }
    }

    /// Whether the client asks for a WebSocket. On a route that has none it was refused by now.
    pub(super) fn websocket(&self) -> bool {
        self.websocket
    }

    /// It is a WebSocket from now on.
    pub(super) fn tunnel(&mut self) {
        if !std::mem::replace(&mut self.tunnel, true) {
            self.shared.overload.leave();
        }
    }

    /// What every request meets before anything is known of it; `Some` is the refusal.
    pub(super) async fn flood(&mut self, headers: &HeaderMap) -> Option<Box<Reply>> {
        let flood = &self.plan.flood;
        if flood.links().is_empty() {
            return None;
        }
        let mut request = Request::new(self.head.view(headers), &mut self.facts, None);
        flood.request(&mut request, |_| true).await
    }

    /// Whether there is too much to do for this route; `Some` is the refusal.
    pub(super) fn overload(&self) -> Option<Box<Reply>> {
        let priority = self.route.as_ref()?.priority;
        let shared = &self.shared;
        shared
            .overload
            .judge(&self.plan.overload, priority, &shared.metrics)
    }

    /// Judges whether what the caller proved was revoked: `Some` is the refusal. From here on it is
    /// cut when it is.
    pub(super) fn judge_revoked(&mut self) -> Option<Box<Reply>> {
        let revocations = &self.shared.revocations;
        let (tie, reply) = revocations.judge(&self.plan, &self.facts, self.leash.as_ref());
        self.tie = tie;
        reply
    }

    /// Takes down who may what, as it is known now.
    pub(super) fn learn_rights(&mut self) {
        if self.plan.rights.is_some() {
            self.facts.rights = self.shared.rights.rights();
        }
    }

    /// Whether its answer says what the cache did.
    pub(crate) fn has_cache(&self) -> bool {
        self.route
            .as_ref()
            .is_some_and(|route| route.cache.is_some())
    }

    /// The upstream's name; empty before one was asked.
    pub(super) fn upstream_name(&self) -> Arc<str> {
        match (&self.upstream, self.attempts) {
            (Some(upstream), 1..) => upstream.name.clone(),
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
        let code = if code.is_empty() { "none" } else { code };
        self.shared
            .metrics
            .refused
            .with_label_values(&[route, code, self.refused_by])
            .inc();
    }
}
