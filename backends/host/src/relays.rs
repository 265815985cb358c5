//! Which outbox is relayed to whom.
//!
//! Without a broker an event reaches the consumers that run in the process of its outbox; one that
//! none of them hears waits there until a process that has a consumer for it starts.

use std::sync::Arc;
use std::time::Duration;

use pg::{Bell, Consumer, Delivery, Relay};
use sqlx::postgres::PgPool;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::Job;
use crate::jobs;
use crate::metrics::Metrics;

/// Gathers outboxes and consumers while the apps are built.
#[derive(Default)]
pub(crate) struct Relays {
    outboxes: Vec<(PgPool, &'static str)>,
    consumers: Vec<Consumer>,
}

impl Relays {
    pub(crate) fn add(
        &mut self,
        pool: PgPool,
        outbox: Option<&'static str>,
        consumers: Vec<Consumer>,
    ) {
        self.outboxes.extend(outbox.map(|schema| (pool, schema)));
        self.consumers.extend(consumers);
    }

    /// Starts a relay for each topic that somebody here hears.
    pub(crate) fn start(&self, metrics: &Metrics, work: &TaskTracker, stop: &CancellationToken) {
        for &(ref pool, schema) in &self.outboxes {
            // One bell for each outbox: a relay is rung for its own database alone.
            let bell = Bell::hang(pool, schema, stop.clone());
            for topic in self.topics_of(schema) {
                let metrics = metrics.clone();
                let heard = |consumer: &&Consumer| consumer.topic == topic;
                let relay = Relay {
                    pool: pool.clone(),
                    schema,
                    topic,
                    consumers: self.consumers.iter().filter(heard).cloned().collect(),
                    observe: Arc::new(move |delivery| {
                        metrics.delivery(schema, topic, delivery == Delivery::Done);
                    }),
                };
                work.spawn(relay.run(bell.clone(), stop.clone()));
            }
            for job in [watch(pool, schema, metrics), prune(pool, schema)] {
                work.spawn(jobs::repeat(schema, job, metrics.clone(), stop.clone()));
            }
        }
    }

    /// The topics of an app that are heard here, each once.
    fn topics_of(&self, schema: &str) -> Vec<&'static str> {
        let mut topics: Vec<&'static str> = self
            .consumers
            .iter()
            .map(|consumer| consumer.topic)
            .filter(|topic| topic.split_once('.').is_some_and(|(app, _)| app == schema))
            .collect();
        topics.sort_unstable();
        topics.dedup();
        topics
    }
}

/// Keeps the figures of what waits.
fn watch(pool: &PgPool, schema: &'static str, metrics: &Metrics) -> Job {
    let (pool, metrics) = (pool.clone(), metrics.clone());
    Job {
        name: "outbox_watch",
        every: Duration::from_secs(15),
        limit: Duration::from_secs(15),
        run: Arc::new(move || {
            let (pool, metrics) = (pool.clone(), metrics.clone());
            Box::pin(async move {
                let (count, oldest_s) = pg::outbox::backlog(&pool, schema).await?;
                metrics.waiting(schema, count, oldest_s);
                Ok(())
            })
        }),
    }
}

/// Takes delivered events away after a week.
fn prune(pool: &PgPool, schema: &'static str) -> Job {
    let pool = pool.clone();
    Job {
        name: "outbox_prune",
        every: Duration::from_secs(600),
        limit: Duration::from_secs(600),
        run: Arc::new(move || {
            let pool = pool.clone();
            Box::pin(async move {
                while pg::outbox::prune(&pool, schema).await? > 0 {}
                Ok(())
            })
        }),
    }
}
