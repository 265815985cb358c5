//! Every metric of the gateway: its name, its labels and when it moves.
//!
//! Labels come from closed sets: ids of routes, names of upstreams and plugins, codes of problems.
//! Never a path, an address or a user.

use prometheus::{
    Encoder, Gauge, GaugeVec, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry, TextEncoder,
};

/// The route label of a request that no route took.
pub const NO_ROUTE: &str = "none";

/// In seconds: a cached answer takes a fraction of the first, a slow upstream some of the last.
const BUCKETS_S: [f64; 14] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

/// The gateway's metrics. One set per edge, so that tests do not see each other's.
pub struct Metrics {
    registry: Registry,
    /// From a revocation to its arrival here, in seconds, by `feed` (the upstream) and `by` (`push`
    /// or `feed`: how it came).
    pub revocation_lag: HistogramVec,
    /// How long ago it was last certain that no revocation was missing, in seconds, by `feed`.
    pub revocation_silence: GaugeVec,
    /// Whether revocations are being pushed (1) or asked for (0), by `feed`.
    pub revocation_pushed: IntGaugeVec,
    /// Revocations that are kept, by `feed`.
    pub revocation_marks: IntGaugeVec,
    /// What befell a feed, by `feed` and `event`: `missed` (a push that skipped some), `failed` (it
    /// could not be read), `outage`, `reset` (it began anew), `lost` (some were forgotten unread).
    pub revocation_events: IntCounterVec,
    /// Requests of revoked callers that were cut, by `feed`.
    pub revocation_cut: IntCounterVec,
    /// Requests that passed during an outage because `on_outage` is `allow`, by `feed`.
    pub revocation_unjudged: IntCounterVec,
    /// The version of who may what that is known, by `upstream`; 0 before the first.
    pub rights_version: IntGaugeVec,
    /// How long ago it was last certain that this was the newest, in seconds, by `upstream`.
    pub rights_age: GaugeVec,
    /// What befell it, by `upstream` and `event`: `pushed` (it was asked for because of a push),
    /// `failed` (it could not be had), `silent` (nothing was heard for `patience`), `outage` (who
    /// needs a permission is a 503), `reset` (a lower number was believed), `unread` (there were rules
    /// that were not understood).
    pub rights_events: IntCounterVec,
    /// How long requests took, by `route`, `method` and `status` (`2xx`, …; `gone`: the client was).
    pub duration: HistogramVec,
    /// Requests that are being answered.
    pub in_flight: IntGauge,
    /// Requests that were refused because there was too much to do, by `priority` of their route.
    pub shed: IntCounterVec,
    /// What is refused for that: 0 nothing, 1 low, 2 normal too, 3 all.
    pub overload_level: IntGauge,
    /// How late this process's timers are, in seconds: the least of the last three looks.
    pub timer_lag: Gauge,
    /// Open connections, by `listener`.
    pub connections: IntGaugeVec,
    /// Connections that were closed unserved, by `listener` and `reason` (`per_ip`, `handshake`,
    /// `handshake_timeout`, `head`; where a PROXY header is required `proxy_untrusted`,
    /// `proxy_header`, `proxy_timeout`).
    pub connections_refused: IntCounterVec,
    /// Requests that we answered ourselves, by `route`, `code` (that of the problem; `none` when it
    /// was no problem) and `by` (the plugin or `gateway`).
    pub refused: IntCounterVec,
    /// What policies in shadow would have refused, by `route` and `policy`.
    pub would_deny: IntCounterVec,
    /// What plugins tell of themselves, by `plugin` (its place in the table) and `event`.
    pub plugin_events: IntCounterVec,
    /// Attempts that failed, by `upstream` and `reason`.
    pub upstream_errors: IntCounterVec,
    /// Connections to upstreams, by `upstream` and whether they were `reused`.
    pub upstream_connections: IntCounterVec,
    /// Targets that take requests now, by `upstream`.
    pub upstream_targets: IntGaugeVec,
    /// Copies of requests, by `upstream` and `outcome` (`sent`, `failed`; dropped: `busy`,
    /// `too_long`).
    pub mirrored: IntCounterVec,
    /// What the cache did, by `policy` and `outcome`.
    pub cache: IntCounterVec,
    /// Access records that were dropped because the queue was full.
    pub log_dropped: IntCounter,
    /// Requests that ended before their answer did: somebody went away, or a hook panicked.
    pub aborted: IntCounter,
    /// Tables that were refused since the start.
    pub config_rejected: IntCounter,
    /// 1 for the `version` of the table that is served.
    pub config_info: IntGaugeVec,
    /// When a listener's certificate ends, in Unix seconds, by `listener` and `certificate` (its
    /// file, as the table writes it).
    pub certificate_expiry: IntGaugeVec,
}

impl Default for Metrics {
    fn default() -> Self {
        let registry = Registry::new();
        let duration = HistogramVec::new(
            HistogramOpts::new(
                "gateway_request_duration_seconds",
                "From a request's head to the end of its answer.",
            )
            .buckets(BUCKETS_S.to_vec()),
            &["route", "method", "status"],
        )
        .expect("names and labels are literals");
        registry
            .register(Box::new(duration.clone()))
            .expect("each name is used once");
        let counters = |name: &str, help: &str, labels: &[&str]| {
            let counters = IntCounterVec::new(Opts::new(name, help), labels)
                .expect("names and labels are literals");
            registry
                .register(Box::new(counters.clone()))
                .expect("each name is used once");
            counters
        };
        let gauges = |name: &str, help: &str, labels: &[&str]| {
            let gauges = IntGaugeVec::new(Opts::new(name, help), labels)
                .expect("names and labels are literals");
            registry
                .register(Box::new(gauges.clone()))
                .expect("each name is used once");
            gauges
        };
        let timer_lag = Gauge::new(
            "gateway_timer_lag_seconds",
            "How late the timers of this process are.",
        )
        .expect("the name is a literal");
        registry
            .register(Box::new(timer_lag.clone()))
            .expect("each name is used once");
        let revocation_lag = HistogramVec::new(
            HistogramOpts::new(
                "gateway_revocation_lag_seconds",
                "From a revocation to its arrival here.",
            )
            .buckets(BUCKETS_S.to_vec()),
            &["feed", "by"],
        )
        .expect("names and labels are literals");
        registry
            .register(Box::new(revocation_lag.clone()))
            .expect("each name is used once");
        let rights_age = GaugeVec::new(
            Opts::new(
                "gateway_rights_age_seconds",
                "Since it was last certain that nothing newer is known of who may what.",
            ),
            &["upstream"],
        )
        .expect("names and labels are literals");
        registry
            .register(Box::new(rights_age.clone()))
            .expect("each name is used once");
        let revocation_silence = GaugeVec::new(
            Opts::new(
                "gateway_revocation_silence_seconds",
                "Since it was last certain that no revocation was missing.",
            ),
            &["feed"],
        )
        .expect("names and labels are literals");
        registry
            .register(Box::new(revocation_silence.clone()))
            .expect("each name is used once");
        Self {
            timer_lag,
            shed: counters(
                "gateway_shed_total",
                "Requests refused because there was too much to do.",
                &["priority"],
            ),
            overload_level: gauges(
                "gateway_overload_level",
                "What is refused: 0 nothing, 1 low priority, 2 normal too, 3 all.",
                &[],
            )
            .with_label_values::<&str>(&[]),
            revocation_lag,
            revocation_silence,
            revocation_pushed: gauges(
                "gateway_revocation_pushed",
                "Whether revocations are being pushed.",
                &["feed"],
            ),
            revocation_marks: gauges(
                "gateway_revocation_marks",
                "Revocations that are kept.",
                &["feed"],
            ),
            revocation_events: counters(
                "gateway_revocation_events_total",
                "What befell a feed of revocations.",
                &["feed", "event"],
            ),
            revocation_cut: counters(
                "gateway_revocation_cut_total",
                "Requests of revoked callers that were cut.",
                &["feed"],
            ),
            revocation_unjudged: counters(
                "gateway_revocation_unjudged_total",
                "Requests that passed while nobody told who was revoked.",
                &["feed"],
            ),
            rights_version: gauges(
                "gateway_rights_version",
                "The version of who may what that is known.",
                &["upstream"],
            ),
            rights_age,
            rights_events: counters(
                "gateway_rights_events_total",
                "What befell the knowledge of who may what.",
                &["upstream", "event"],
            ),
            in_flight: gauges(
                "gateway_requests_in_flight",
                "Requests that are being answered.",
                &[],
            )
            .with_label_values::<&str>(&[]),
            connections: gauges(
                "gateway_connections",
                "Open client connections.",
                &["listener"],
            ),
            connections_refused: counters(
                "gateway_connections_refused_total",
                "Connections closed unserved.",
                &["listener", "reason"],
            ),
            refused: counters(
                "gateway_refused_total",
                "Requests answered by the gateway in place of an upstream.",
                &["route", "code", "by"],
            ),
            would_deny: counters(
                "gateway_would_deny_total",
                "Requests that a policy in shadow would have refused.",
                &["route", "policy"],
            ),
            plugin_events: counters(
                "gateway_plugin_events_total",
                "What plugins tell of themselves, such as an outage.",
                &["plugin", "event"],
            ),
            upstream_errors: counters(
                "gateway_upstream_errors_total",
                "Attempts at an upstream that failed.",
                &["upstream", "reason"],
            ),
            upstream_connections: counters(
                "gateway_upstream_connections_total",
                "Connections used towards upstreams.",
                &["upstream", "reused"],
            ),
            upstream_targets: gauges(
                "gateway_upstream_targets",
                "Targets that take requests now.",
                &["upstream"],
            ),
            mirrored: counters(
                "gateway_mirrored_total",
                "Copies of requests for upstreams that are only looked at.",
                &["upstream", "outcome"],
            ),
            cache: counters(
                "gateway_cache_total",
                "What the cache did.",
                &["policy", "outcome"],
            ),
            log_dropped: counters(
                "gateway_access_log_dropped_total",
                "Access records dropped because the queue was full.",
                &[],
            )
            .with_label_values::<&str>(&[]),
            aborted: counters(
                "gateway_requests_aborted_total",
                "Requests that ended before their answer did.",
                &[],
            )
            .with_label_values::<&str>(&[]),
            config_rejected: counters(
                "gateway_config_rejected_total",
                "Route tables refused since the start.",
                &[],
            )
            .with_label_values::<&str>(&[]),
            config_info: gauges(
                "gateway_config_info",
                "The version of the route table that is served.",
                &["version"],
            ),
            certificate_expiry: gauges(
                "gateway_certificate_expiry_timestamp_seconds",
                "When a listener's certificate ends.",
                &["listener", "certificate"],
            ),
            duration,
            registry,
        }
    }
}

impl Metrics {
    /// All of them at nought.
    pub fn new() -> Self {
        Self::default()
    }

    /// A table is served from now on.
    pub fn config_accepted(&self, version: &str) {
        self.config_info.reset();
        self.config_info.with_label_values(&[version]).set(1);
    }

    /// A table was refused; the old one serves on.
    pub fn config_rejected(&self) {
        self.config_rejected.inc();
    }

    /// All of them, as Prometheus reads them (text format 0.0.4).
    pub fn render(&self) -> String {
        let mut text = Vec::new();
        match TextEncoder::new().encode(&self.registry.gather(), &mut text) {
            Ok(()) => String::from_utf8_lossy(&text).into_owned(),
            Err(error) => {
                tracing::error!(%error, "metrics can't be written");
                String::new()
            }
        }
    }
}

impl plugin_sdk::Meter for Metrics {
    fn count(&self, plugin: &str, event: &'static str) {
        self.plugin_events.with_label_values(&[plugin, event]).inc();
    }
}

/// The `status` label: the class, not the code.
pub fn status_class(status: Option<http::StatusCode>) -> &'static str {
    match status.map(|status| status.as_u16() / 100) {
        Some(1) => "1xx",
        Some(2) => "2xx",
        Some(3) => "3xx",
        Some(4) => "4xx",
        Some(5) => "5xx",
        _ => "gone",
    }
}

/// The `method` label: one of those that we forward, or `other`.
pub fn method(method: &http::Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_served_is_one_and_the_latest() {
        let metrics = Metrics::default();
        metrics.config_accepted("aaa");
        metrics.config_accepted("bbb");
        let text = metrics.render();
        assert!(
            text.contains("gateway_config_info{version=\"bbb\"} 1"),
            "{text}"
        );
        assert!(!text.contains("aaa"), "{text}");
    }
}
