use std::time::Duration;

use http::StatusCode;
use pingora::proxy::Session;
use plugin_sdk::Outcome;

use super::Context;
use crate::access_log::{self, MAX_PATH, Record, Who};
use crate::{cache, metrics, revocation};

/// What only the session knows when a request has ended.
pub(super) struct Ended {
    status: Option<StatusCode>,
    bytes_in: u64,
    bytes_out: u64,
    protocol: &'static str,
    tls: String,
    cache: &'static str,
    /// It was not told to the end, whatever status it began with.
    cut: bool,
}

/// The end.
impl Context {
    /// Method and canonical path: never the query, where secrets are.
    pub(in crate::proxy) fn summary(&self) -> String {
        format!("{} {}", self.head.method, self.head.path)
    }

    /// `failed` is whether an error ended it, of which the client may have been told.
    pub(in crate::proxy) fn finish(&mut self, session: &Session, failed: bool) {
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
            cut: failed && self.refused_by.is_empty(),
        });
        let headers = &session.req_header().headers;
        let outcome = Outcome {
            status: self.status(),
            took: self.started.elapsed(),
            refused_by: (!self.refused_by.is_empty()).then_some(self.refused_by),
        };
        self.seen(headers, |chain, seen| chain.log(seen, &outcome));
    }

    /// Why it was cut in the middle, if its caller was revoked.
    fn cut_as(&self) -> Option<&'static str> {
        self.leash.as_ref()?.why_cut()
    }

    fn status(&self) -> Option<StatusCode> {
        self.ended.as_ref()?.status
    }

    fn aborted(&self) -> bool {
        self.ended
            .as_ref()
            .is_none_or(|ended| ended.cut || ended.status.is_none())
    }

    fn record(&self) -> Record {
        let ended = self.ended.as_ref();
        Record {
            at: self.at,
            request_id: self.facts.request_id.clone(),
            trace_id: self.trace.trace_id.clone(),
            route: self.facts.route.clone(),
            method: access_log::beginning(self.head.method.as_str(), 16),
            host: self.head.host.clone(),
            path: access_log::beginning(&self.head.path, MAX_PATH),
            query: self
                .head
                .query
                .as_deref()
                .map(access_log::query_names)
                .unwrap_or_default(),
            status: self.status().map(|status| status.as_u16()),
            code: self.cut_as().unwrap_or(self.code),
            bytes_in: ended.map_or(0, |ended| ended.bytes_in),
            bytes_out: ended.map_or(0, |ended| ended.bytes_out),
            took_us: micros(self.started.elapsed()),
            upstream: self.upstream_name(),
            upstream_us: self.upstream_took.map(micros),
            client: Some(self.head.client),
            who: Who(self.facts.principal.clone()),
            protocol: ended.map_or("", |ended| ended.protocol),
            tls: ended.map(|ended| ended.tls.clone()).unwrap_or_default(),
            cache: ended.map_or("", |ended| ended.cache),
            refused_by: self.cut_as().map_or(self.refused_by, |_| revocation::BY),
            would_deny: self.facts.would_deny.clone(),
            aborted: self.aborted(),
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
        for policy in &self.facts.would_deny {
            metrics
                .would_deny
                .with_label_values(&[route, &**policy])
                .inc();
        }
        if self.aborted() {
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
        if !self.tunnel {
            self.shared.overload.leave();
        }
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
