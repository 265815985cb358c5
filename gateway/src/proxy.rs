//! A request's way through the gateway: the transport's callbacks, top to bottom in the order in
//! which a request meets them. Each says what happens; how, is told in the room it names.

mod body;
mod context;
mod fault;
mod judge;
mod redirect;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use async_trait::async_trait;
use bytes::Bytes;
use http::{Method, StatusCode};
use pingora::cache::key::HashBinary;
use pingora::cache::{CacheKey, CacheMeta, NoCacheReason, RespCacheable};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::protocols::Digest;
use pingora::proxy::{FailToProxy, ProxyHttp, ProxyWarnLogContext, Session};
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorType, Result};

use crate::access_log::AccessLog;
use crate::cache::{self, Caches};
use crate::listener::Visit;
use crate::metrics::Metrics;
use crate::mirror::Mirrors;
use crate::overload::Overload;
use crate::plan::{self, CachePolicy, Plan};
use crate::revocation::Revocations;
use crate::rights;
use crate::upstream::{MAX_ATTEMPTS, Upstreams};
use crate::{forward, reply};

pub use context::Context;

/// What all listeners of an edge share.
pub struct Shared {
    /// The table that is served. Swapped by a reload; a request keeps the one it began with.
    pub plan: Arc<ArcSwap<Plan>>,
    /// Where requests go.
    pub upstreams: Upstreams,
    /// Who gets copies.
    pub mirrors: Mirrors,
    /// What is kept of answers.
    pub caches: Caches,
    /// How busy it is.
    pub overload: Arc<Overload>,
    /// Who may not come in any more.
    pub revocations: Revocations,
    /// Who may what.
    pub rights: rights::Current,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// What is written down.
    pub log: AccessLog,
    /// Whether the edge is about to stop: `/readyz` says so before any listener closes.
    pub draining: AtomicBool,
}

/// The gateway as the transport drives it: one for all listeners, which so share the connections to
/// upstreams.
pub struct Proxy {
    shared: Arc<Shared>,
}

impl Proxy {
    /// For the connections of all listeners.
    pub fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Gives the client its deadlines for the rest of this request and the wait for the next.
    fn set_deadlines(&self, session: &mut Session, visit: &Visit, listener: &plan::Listener) {
        session.set_read_timeout(Some(listener.stall_timeout));
        session.set_write_timeout(Some(listener.stall_timeout));
        session.set_total_drain_timeout(Some(listener.stall_timeout));
        // Parsing a head resets the idle timeout to none: it is set anew on each request. Not on
        // one that ends its connection, which setting it would undo.
        if visit.is_ending() || self.shared.draining.load(Ordering::Relaxed) {
            session.set_keepalive(None);
        } else if session.get_keepalive().is_some() {
            session.set_keepalive(Some(listener.idle_timeout.as_secs().max(1)));
        }
    }
}

#[async_trait]
impl ProxyHttp for Proxy {
    type CTX = Context;

    fn new_ctx(&self) -> Context {
        Context::new(self.shared.clone())
    }

    /// The head is here. Modules of the transport would run next; we have none.
    async fn early_request_filter(&self, session: &mut Session, ctx: &mut Context) -> Result<()> {
        let visit = Visit::of(session).ok_or_else(|| {
            Error::explain(ErrorType::InternalError, "a request on no connection")
        })?;
        let listener = visit.listener.load_full();
        self.set_deadlines(session, &visit, &listener);
        ctx.begin(session, visit, &listener);
        Ok(())
    }

    /// Framing, route, identity, policy: all that is judged before anything is forwarded. An
    /// answer of our own ends the request here and keeps the connection.
    async fn request_filter(&self, session: &mut Session, ctx: &mut Context) -> Result<bool> {
        match judge::request(session, ctx).await {
            Ok(()) => Ok(false),
            Err(reply) => reply::send(session, ctx, *reply).await.map(|()| true),
        }
    }

    /// The cache comes after the judgement: an answer that is kept goes to nobody who may not.
    fn request_cache_filter(&self, session: &mut Session, ctx: &mut Context) -> Result<()> {
        if let Some(policy) = ctx.cache_policy() {
            self.shared.caches.enable(session, &policy);
        }
        Ok(())
    }

    fn cache_key_callback(&self, _: &Session, ctx: &mut Context) -> Result<CacheKey> {
        let policy = cached(ctx)?;
        let head = &ctx.head;
        Ok(cache::key(
            &policy,
            &ctx.facts.route,
            ctx.is_encrypted(),
            &head.host,
            &head.path,
            head.query.as_deref(),
        ))
    }

    fn cache_vary_filter(
        &self,
        _: &CacheMeta,
        ctx: &mut Context,
        request: &RequestHeader,
    ) -> Option<HashBinary> {
        cache::variance(&*ctx.cache_policy()?, &request.headers)
    }

    /// Asked when a kept answer is stale (`None`) or the upstream failed. How long it may be
    /// stale is in the answer's own times.
    fn should_serve_stale(&self, _: &mut Session, _: &mut Context, error: Option<&Error>) -> bool {
        error.is_none_or(|error| *error.esource() == pingora::ErrorSource::Upstream)
    }

    /// Chooses a target; again for each further attempt.
    async fn upstream_peer(
        &self,
        session: &mut Session,
        ctx: &mut Context,
    ) -> Result<Box<HttpPeer>> {
        let upload = judge::upload(session, ctx);
        ctx.attempt(upload)
            .ok_or_else(|| Error::new_up(ErrorType::ConnectNoRoute))
    }

    /// Nothing was sent: another target may be asked, whatever the method.
    fn fail_to_connect(
        &self,
        _: &mut Session,
        _: &HttpPeer,
        ctx: &mut Context,
        mut error: Box<Error>,
    ) -> Box<Error> {
        ctx.unreachable(&error);
        error.set_retry(ctx.may_connect_again());
        error
    }

    async fn connected_to_upstream(
        &self,
        _: &mut Session,
        reused: bool,
        _: &HttpPeer,
        _: std::os::fd::RawFd,
        _: Option<&Digest>,
        ctx: &mut Context,
    ) -> Result<()> {
        ctx.connected(reused);
        Ok(())
    }

    /// The head as the upstream gets it: plugins first, identity last.
    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        upstream: &mut RequestHeader,
        ctx: &mut Context,
    ) -> Result<()> {
        let mut parts = upstream.as_owned_parts();
        ctx.seen(&session.req_header().headers, |chain, seen| {
            chain.upstream_request(seen, &mut parts.headers);
        });
        forward::write(&mut parts.headers, &ctx.forward()?);
        parts.uri = ctx.target()?;
        ctx.copy_head(&parts.uri, &parts.headers)?;
        *upstream = RequestHeader::from(parts);
        Ok(())
    }

    /// Counts the body on its way. With a retry it comes again from its first byte.
    async fn request_body_filter(
        &self,
        _: &mut Session,
        body: &mut Option<Bytes>,
        end: bool,
        ctx: &mut Context,
    ) -> Result<()> {
        ctx.count(body.as_ref().map_or(0, Bytes::len))?;
        ctx.copy_body(body.as_ref(), end);
        Ok(())
    }

    /// A connection was made and broke. Only one from the pool, which the upstream may have closed
    /// meanwhile, and only what may be done twice, is tried again.
    fn error_while_proxy(
        &self,
        _: &HttpPeer,
        session: &mut Session,
        mut error: Box<Error>,
        ctx: &mut Context,
        reused: bool,
    ) -> Box<Error> {
        ctx.broken(&error);
        let again = session.req_header().method.is_idempotent()
            && !session.as_ref().retry_buffer_truncated()
            && ctx.attempts() < MAX_ATTEMPTS;
        // It must be decided one way or the other, or the transport panics.
        error.retry.decide_reuse(reused && again);
        error
    }

    async fn upstream_response_filter(
        &self,
        _: &mut Session,
        answer: &mut ResponseHeader,
        ctx: &mut Context,
    ) -> Result<()> {
        if !answer.status.is_informational() {
            ctx.answered_by_upstream();
        }
        if answer.status == StatusCode::SWITCHING_PROTOCOLS {
            if !ctx.websocket() {
                // Nobody asked it to: what follows would be bytes that no rule has seen.
                return Err(Error::new_up(ErrorType::InvalidHTTPHeader));
            }
            ctx.tunnel();
        }
        if answer.status == StatusCode::SWITCHING_PROTOCOLS {
            ctx.hand_over();
        }
        Ok(())
    }

    fn response_cache_filter(
        &self,
        _: &Session,
        answer: &ResponseHeader,
        ctx: &mut Context,
    ) -> Result<RespCacheable> {
        Ok(match ctx.cache_policy() {
            Some(policy) => cache::judge(&policy, answer, SystemTime::now()),
            None => RespCacheable::Uncacheable(NoCacheReason::NeverEnabled),
        })
    }

    /// Every answer that is not our own meets the plugins here, a kept one too.
    async fn response_filter(
        &self,
        session: &mut Session,
        answer: &mut ResponseHeader,
        ctx: &mut Context,
    ) -> Result<()> {
        if !answer.status.is_informational() {
            reply::dress(session, ctx, answer);
        }
        Ok(())
    }

    /// The cache asks with `GET` for a `HEAD`, so that it has something to keep. Over HTTP/2 the
    /// transport would pass the body on, which ends the client's stream with an error.
    fn response_body_filter(
        &self,
        _: &mut Session,
        body: &mut Option<Bytes>,
        _end: bool,
        ctx: &mut Context,
    ) -> Result<Option<Duration>> {
        if *ctx.method() == Method::HEAD {
            *body = None;
        }
        Ok(None)
    }

    /// It went wrong: the client is told in our words, if it can still be told.
    async fn fail_to_proxy(
        &self,
        session: &mut Session,
        error: &Error,
        ctx: &mut Context,
    ) -> FailToProxy {
        let error_code = fault::answer(session, error, ctx).await;
        FailToProxy {
            error_code,
            can_reuse_downstream: false,
        }
    }

    /// The last callback; a panic skips it. The record is written when the context is dropped.
    async fn logging(&self, session: &mut Session, error: Option<&Error>, ctx: &mut Context) {
        ctx.finish(session, error.is_some());
    }

    // The transport's own lines about a request would show its query and repeat our record.

    fn request_summary(&self, _: &Session, ctx: &Context) -> String {
        ctx.summary()
    }

    fn suppress_error_log(&self, _: &Session, _: &Context, _: &Error) -> bool {
        true
    }

    fn suppress_proxy_warn_log(
        &self,
        _: &Session,
        _: &Context,
        _: &Error,
        _: ProxyWarnLogContext,
    ) -> bool {
        true
    }
}

fn cached(ctx: &Context) -> Result<Arc<CachePolicy>> {
    ctx.cache_policy()
        .ok_or_else(|| Error::explain(ErrorType::InternalError, "a key for a route without cache"))
}
