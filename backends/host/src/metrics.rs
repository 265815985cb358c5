//! Every metric of the backend, its name and its labels, which all come from closed sets.

use std::time::Duration;

use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts, Registry};

/// What a process counts. Cheap to clone: all clones count into the same.
#[derive(Clone)]
pub struct Metrics {
    registry: Registry,
    requests: HistogramVec,
    deliveries: IntCounterVec,
    backlog: IntGaugeVec,
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
            backlog: gauge(
                "backend_outbox_waiting",
                "Events that wait in an outbox, by topic",
                &["outbox", "topic"],
            ),
            jobs: counter(
                "backend_job_runs_total",
                "Runs of a job, by app, job and outcome",
                &["app", "job", "outcome"],
            ),
            connections: gauge(
                "backend_database_connections",
                "Connections of a pool, by its place in the file and whether they are idle",
                &["pool", "state"],
            ),
            registry,
        };
        for collector in [
            Box::new(metrics.requests.clone()) as Box<dyn prometheus::core::Collector>,
            Box::new(metrics.deliveries.clone()),
            Box::new(metrics.backlog.clone()),
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
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}
