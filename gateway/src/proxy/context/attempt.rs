use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, Uri};
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorSource, ErrorType, Result};

use super::Context;
use crate::decide;
use crate::forward::{self, Forward};
use crate::mirror::Copied;
use crate::proxy::fault;
use crate::upstream::MAX_ATTEMPTS;

/// A WebSocket may be silent for this long.
const WEBSOCKET_SILENCE: Duration = Duration::from_secs(600);

/// Towards the upstream.
impl Context {
    /// Takes a target for one more attempt; `None` when none is known. `upload` is how much of the
    /// body may still be on its way to us, in bytes.
    pub(in crate::proxy) fn attempt(&mut self, upload: u64) -> Option<Box<HttpPeer>> {
        let route = self.route.as_ref()?;
        self.attempts += 1;
        self.body.again();
        let upstream = match &self.upstream {
            Some(upstream) => upstream,
            None => {
                let who = self.facts.principal.as_deref();
                let chosen = decide::upstream(route, who, self.head.client)?;
                self.upstream.insert(chosen.clone())
            }
        };
        let group = self.shared.upstreams.group(upstream);
        let Some(lease) = group.choose(&self.tried) else {
            group.failed("no_target");
            return None;
        };
        let silence = if self.websocket {
            WEBSOCKET_SILENCE
        } else {
            route.timeout
        };
        let peer = lease.peer(silence, upload);
        self.asked.get_or_insert_with(Instant::now);
        self.lease = Some(lease);
        Some(peer)
    }

    pub(in crate::proxy) fn attempts(&self) -> u32 {
        self.attempts
    }

    pub(in crate::proxy) fn may_connect_again(&self) -> bool {
        let retries = self.route.as_ref().map_or(0, |route| route.connect_retries);
        self.attempts <= retries && self.attempts < MAX_ATTEMPTS
    }

    pub(in crate::proxy) fn unreachable(&mut self, error: &Error) {
        if let Some(lease) = self.lease.take() {
            lease.unreachable(fault::reason(error));
            self.tried.push(lease.address());
        }
    }

    pub(in crate::proxy) fn connected(&self, reused: bool) {
        if let Some(lease) = &self.lease {
            lease.connected(reused);
        }
    }

    pub(in crate::proxy) fn broken(&self, error: &Error) {
        if let (Some(lease), ErrorSource::Upstream) = (&self.lease, error.esource()) {
            lease.group().failed(fault::reason(error));
        }
    }

    pub(in crate::proxy) fn answered_by_upstream(&mut self) {
        self.upstream_took = self.asked.map(|asked| asked.elapsed());
    }

    pub(in crate::proxy) fn count(&mut self, bytes: usize) -> Result<()> {
        let most = match &self.route {
            // After the handshake these are no body.
            Some(_) if self.websocket => return Ok(()),
            Some(route) => route.max_body,
            None => 0,
        };
        self.body.count(bytes, most)
    }

    /// What is said to the upstream about this request.
    pub(in crate::proxy) fn forward(&self) -> Result<Forward<'_>> {
        let route = self.route.as_ref().ok_or_else(unrouted)?;
        let upstream = self.upstream.as_ref().ok_or_else(unrouted)?;
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        Ok(Forward {
            identity: &self.plan.identity,
            principal: self.facts.principal.as_deref(),
            upstream: &upstream.name,
            route: &route.id,
            request_id: &self.facts.request_id,
            client: self.head.client,
            via: self.via,
            authority: &self.head.authority,
            tls: self.is_encrypted(),
            trace: &self.trace,
            cookies: &self.plan.cookies,
            credentials: &self.plan.credentials,
            pass_authorization: route.pass_authorization,
            websocket: self.websocket,
            h2: upstream.h2,
            now: now.map_or(0, |past| i64::try_from(past.as_secs()).unwrap_or(i64::MAX)),
        })
    }

    /// The canonical path that was judged, or what the route makes of it, and the query as it came.
    pub(in crate::proxy) fn target(&self) -> Result<Uri> {
        let path = self.head.forwarded.as_ref().unwrap_or(&self.head.path);
        let target = match &self.head.query {
            Some(query) => format!("{path}?{query}").parse(),
            None => path.parse(),
        };
        target
            .map_err(|_| Error::explain(ErrorType::InternalError, "a canonical path is no target"))
    }
}

/// Towards the mirror.
impl Context {
    /// Keeps the head as the mirror gets it: the upstream's own, under a seal for the mirror.
    pub(in crate::proxy) fn copy_head(&mut self, target: &Uri, headers: &HeaderMap) -> Result<()> {
        self.copied = None;
        let mirror = self.route.as_ref().and_then(|route| route.action.forward());
        let mirror = mirror.and_then(|forward| forward.mirror.as_ref());
        let Some(mirror) = mirror.filter(|mirror| {
            !self.mirrored && !self.background && mirror.picks(&self.facts.request_id)
        }) else {
            return Ok(());
        };
        let mut headers = headers.clone();
        let forward = Forward {
            upstream: &mirror.upstream.name,
            h2: mirror.upstream.h2,
            // What is meant for the upstream's own judgement is nobody else's.
            pass_authorization: false,
            ..self.forward()?
        };
        forward::write(&mut headers, &forward);
        let (upstream, method) = (mirror.upstream.clone(), self.head.method.clone());
        self.copied = Some(Copied::new(upstream, method, target.to_string(), headers));
        Ok(())
    }

    /// Takes in a piece of the body; with the last one the copy goes out.
    pub(in crate::proxy) fn copy_body(&mut self, piece: Option<&Bytes>, end: bool) {
        if let (Some(copied), Some(piece)) = (&mut self.copied, piece) {
            copied.push(piece);
        }
        if end && let Some(copied) = self.copied.take() {
            self.mirrored = true;
            self.shared.mirrors.send(copied, &self.shared.upstreams);
        }
    }
}

fn unrouted() -> Box<Error> {
    Error::explain(ErrorType::InternalError, "forwarded without a route")
}
