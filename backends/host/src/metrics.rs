//! Every metric of the backend, its name and its labels, which all come from closed sets.

use std::time::Duration;

use prometheus::{
    GaugeVec, HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts, Registry, TextEncoder,
};
use sqlx::postgres::PgPool;

/// What a process counts. Cheap to clone: all clones count into the same.
#[derive(Clone)]
pub struct Metrics {
    registry: Registry,
    requests: HistogramVec,
    deliveries: IntCounterVec,
    waiting: IntGaugeVec,
    oldest: GaugeVec,
    jobs: IntCounterVec,
    connections: IntGaugeVec,
}

impl Metrics {
    /// A registry of its own: several of them in one test process do not meet.
    pub fn new() -> Self {
        let registry = Registry::new();
        let requests = HistogramVec::new(
            HistogramOpts::new(
                "backend_request_seconds",
                "Requests by app, method, route pattern and status",
            )
            .buckets(vec![
                0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
            ]),
            &["app", "method", "route", "status"],
        )
        .expect("a valid metric");
        let counter = |name: &str, help: &str, labels: &[&str]| {
            IntCounterVec::new(Opts::new(name, help), labels).expect("a valid metric")
        };
        let gauge = |name: &str, help: &str, labels: &[&str]| {
            IntGaugeVec::new(Opts::new(name, help), labels).expect("a valid metric")
        };
        let metrics = Self {
            requests,
            deliveries: counter(
                "backend_event_deliveries_total",
                "Attempts to deliver an event, by outbox, topic and outcome",
                &["outbox", "topic", "outcome"],
            ),
            waiting: gauge(
                "backend_outbox_waiting",
                "Events that wait to be delivered, by outbox",
                &["outbox"],
            ),
            oldest: GaugeVec::new(
                Opts::new(
                    "backend_outbox_oldest_seconds",
                    "For how long the oldest event has waited, by outbox",
                ),
                &["outbox"],
            )
            .expect("a valid metric"),
            jobs: counter(
                "backend_job_runs_total",
                "Runs of a job, by app, job and outcome",
                &["app", "job", "outcome"],
            ),
            connections: gauge(
                "backend_database_connections",
                "Connections of a pool, by the apps that share it and whether they are idle",
                &["apps", "state"],
            ),
            registry,
        };
        for collector in [
            Box::new(metrics.requests.clone()) as Box<dyn prometheus::core::Collector>,
            Box::new(metrics.deliveries.clone()),
            Box::new(metrics.waiting.clone()),
            Box::new(metrics.oldest.clone()),
            Box::new(metrics.jobs.clone()),
            Box::new(metrics.connections.clone()),
        ] {
            metrics.registry.register(collector).expect("names differ");
        }
        metrics
    }

    /// Where all of it is gathered from.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// One answered request. `route` is the pattern that matched, never the path; an unusual
    /// method counts as `other`, for a client may send any word.
    pub fn request(&self, app: &str, method: &str, route: &str, status: u16, took: Duration) {
        let method = match method {
            known @ ("GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE" | "OPTIONS") => known,
            _ => "other",
        };
        self.requests
            .with_label_values(&[app, method, route, &status.to_string()])
            .observe(took.as_secs_f64());
    }

    /// One attempt to deliver an event.
    pub(crate) fn delivery(&self, outbox: &str, topic: &str, done: bool) {
        self.deliveries
            .with_label_values(&[outbox, topic, outcome(done)])
            .inc();
    }

    /// How many events wait in an outbox now, and for how many seconds the oldest has.
    pub(crate) fn waiting(&self, outbox: &str, count: i64, oldest_s: f64) {
        self.waiting.with_label_values(&[outbox]).set(count);
        self.oldest.with_label_values(&[outbox]).set(oldest_s);
    }

    /// One run of a job.
    pub(crate) fn job(&self, app: &str, job: &str, done: bool) {
        self.jobs
            .with_label_values(&[app, job, outcome(done)])
            .inc();
    }

    /// How a pool stands now.
    pub(crate) fn pool(&self, apps: &str, pool: &PgPool) {
        let idle = i64::try_from(pool.num_idle()).unwrap_or(i64::MAX);
        let busy = i64::from(pool.size()) - idle;
        self.connections
            .with_label_values(&[apps, "idle"])
            .set(idle);
        self.connections
            .with_label_values(&[apps, "busy"])
            .set(busy.max(0));
    }

    /// All of it in Prometheus' text format.
    pub(crate) fn text(&self) -> Result<String, prometheus::Error> {
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }
}

fn outcome(done: bool) -> &'static str {
    if done { "done" } else { "failed" }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}
