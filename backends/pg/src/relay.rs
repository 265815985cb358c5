//! The relay: carries events from an outbox to the consumers in this process.

use std::sync::Arc;
use std::time::Duration;

use events::Envelope;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use sqlx::postgres::{PgListener, PgPool, Postgres};
use sqlx::{PgConnection, Transaction};
use time::OffsetDateTime;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::Consumer;
use crate::outbox::CHANNEL;
use crate::schema::statement;
use crate::within;

/// How often a relay looks without having been rung: catches retries that fell due, and rings lost
/// on the way (PgBouncer in transaction mode loses them all).
const POLL: Duration = Duration::from_millis(500);
/// The longest that one consumer may take over one event.
const HANDLER_TIMEOUT: Duration = Duration::from_secs(30);
/// The longest that the database may take over one step of a round.
const ANSWER: Duration = Duration::from_secs(10);
/// How many events of different keys are under way at once.
const AT_ONCE: usize = 4;
/// How many events one round takes.
const ROUND: i64 = 64;

/// What became of one attempt to deliver; for the metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// Every consumer has handled it.
    Done,
    /// A consumer failed; it will come again.
    Failed,
}

/// Delivers one topic of one outbox, in order per key, each event until it is handled.
///
/// An event that fails blocks its own key alone and comes again after 0.25 s, then twice as long
/// each time, up to 5 minutes. A topic has a relay of its own so that a mail server that hangs
/// holds up mail and nothing else. Over all processes one relay per topic works at a time, by an
/// advisory lock that lives as long as a round: no session keeps anything between rounds.
pub struct Relay {
    /// The database of the outbox.
    pub pool: PgPool,
    /// The schema whose outbox it is.
    pub schema: &'static str,
    /// The topic it carries.
    pub topic: &'static str,
    /// Who hears it, all of them; an event is delivered when each has handled it.
    pub consumers: Vec<Consumer>,
    /// Hears of every attempt.
    pub observe: Arc<dyn Fn(Delivery) + Send + Sync>,
}

#[derive(sqlx::FromRow)]
struct Waiting {
    seq: i64,
    id: Uuid,
    topic: String,
    key: String,
    created_at: OffsetDateTime,
    payload: serde_json::Value,
    attempts: i32,
}

impl Relay {
    /// Works until told to stop; a round under way is finished first.
    pub async fn run(self, mut bell: Bell, stop: CancellationToken) {
        let mut silent = true;
        while !stop.is_cancelled() {
            match self.round().await {
                Ok(delivered) => {
                    silent = true;
                    if delivered > 0 {
                        // The next of a key becomes visible once the one before is delivered.
                        continue;
                    }
                }
                Err(error) => {
                    // Said once per outage; the next good round makes it audible again.
                    if silent {
                        tracing::error!(
                            schema = self.schema, topic = self.topic, error = %chain(&error),
                            "the relay cannot work its outbox; it keeps trying"
                        );
                    }
                    silent = false;
                }
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = bell.rung() => {}
                () = tokio::time::sleep(POLL) => {}
            }
        }
    }

    /// Delivers what is due; tells how many events left the outbox.
    pub async fn round(&self) -> Result<usize, sqlx::Error> {
        let Some((lock, due)) = within(ANSWER, self.claim()).await? else {
            return Ok(0);
        };
        let mut delivered = 0;
        let mut due = due.into_iter();
        let mut under_way: FuturesUnordered<_> = due
            .by_ref()
            .take(AT_ONCE)
            .map(|event| self.deliver(event))
            .collect();
        while let Some(outcome) = under_way.next().await {
            delivered += usize::from(outcome? == Delivery::Done);
            under_way.extend(due.next().map(|event| self.deliver(event)));
        }
        drop(under_way);
        within(ANSWER, lock.commit()).await?;
        Ok(delivered)
    }

    /// What is due, and the lock that makes it ours; `None` while another process holds it.
    async fn claim(
        &self,
    ) -> Result<Option<(Transaction<'static, Postgres>, Vec<Waiting>)>, sqlx::Error> {
        let mut lock = self.pool.begin().await?;
        // The lock goes with this transaction, whichever way it ends. No row is written in it, so
        // it holds back neither vacuum nor anybody's commit while consumers work.
        let ours: bool =
            sqlx::query_scalar("select pg_try_advisory_xact_lock(hashtextextended($1, 0))")
                .bind(format!("outbox {} {}", self.schema, self.topic))
                .fetch_one(&mut *lock)
                .await?;
        if !ours {
            return Ok(None);
        }
        let due = sqlx::query_as(statement(
            "select seq, id, topic, key, created_at, payload, attempts
            from {schema}.outbox head
            where topic = $1 and delivered_at is null and next_try_at <= now()
              and not exists (
                select from {schema}.outbox before
                where before.topic = $1 and before.key = head.key
                  and before.delivered_at is null and before.seq < head.seq
              )
            order by seq limit $2",
            self.schema,
        ))
        .bind(self.topic)
        .bind(ROUND)
        .fetch_all(&mut *lock)
        .await?;
        Ok(Some((lock, due)))
    }

    async fn deliver(&self, event: Waiting) -> Result<Delivery, sqlx::Error> {
        let envelope = Envelope {
            id: event.id,
            topic: event.topic,
            key: event.key,
            at: event.created_at,
            payload: event.payload,
        };
        for consumer in &self.consumers {
            if let Err(error) = attempt(consumer, envelope.clone()).await {
                tracing::warn!(
                    event_id = %event.id, topic = self.topic, consumer = consumer.name,
                    attempt = event.attempts + 1, error = format!("{error:#}"),
                    "a consumer failed; the event comes again"
                );
                self.postpone(event.seq, &format!("{}: {error:#}", consumer.name))
                    .await?;
                (self.observe)(Delivery::Failed);
                return Ok(Delivery::Failed);
            }
        }
        self.settle(event.seq).await?;
        (self.observe)(Delivery::Done);
        Ok(Delivery::Done)
    }

    async fn settle(&self, seq: i64) -> Result<(), sqlx::Error> {
        // The payload may hold a code: it has done its work, so it goes.
        let settled = sqlx::query(statement(
            "update {schema}.outbox
            set delivered_at = now(), attempts = attempts + 1, payload = '{}', last_error = null
            where seq = $1",
            self.schema,
        ))
        .bind(seq)
        .execute(&self.pool);
        within(ANSWER, settled).await?;
        Ok(())
    }

    async fn postpone(&self, seq: i64, error: &str) -> Result<(), sqlx::Error> {
        let postponed = sqlx::query(statement(
            "update {schema}.outbox
            set attempts = attempts + 1, last_error = left($2, 500), next_try_at = now()
                + least(300, 0.25 * 2 ^ least(attempts, 20)) * (0.5 + random() / 2)
                * interval '1 second'
            where seq = $1",
            self.schema,
        ))
        .bind(seq)
        .bind(error)
        .execute(&self.pool);
        within(ANSWER, postponed).await?;
        Ok(())
    }
}

/// Runs the handler on a task of its own, so that its panic is an error like any other.
async fn attempt(consumer: &Consumer, envelope: Envelope) -> anyhow::Result<()> {
    let task = tokio::spawn((consumer.handle)(envelope));
    let abort = task.abort_handle();
    match tokio::time::timeout(HANDLER_TIMEOUT, task).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(_)) => anyhow::bail!("the handler panicked"),
        Err(_) => {
            abort.abort();
            anyhow::bail!(
                "the handler took longer than {} s",
                HANDLER_TIMEOUT.as_secs()
            )
        }
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}

/// Rings the bells of a name with the caller's commit, in every process that has hung one.
pub async fn ring(tx: &mut PgConnection, name: &'static str) -> Result<(), sqlx::Error> {
    sqlx::query("select pg_notify($1, $2)")
        .bind(CHANNEL)
        .bind(name)
        .execute(tx)
        .await?;
    Ok(())
}

/// Rings when somebody published into an outbox, or rang a name of their own ([`ring`]). One
/// connection listens for all who hear it, beside the pool, so that it takes none from the requests.
#[derive(Clone)]
pub struct Bell(watch::Receiver<()>);

impl Bell {
    /// Hangs a bell of a name, an outbox's schema for one, and listens until told to stop.
    pub fn hang(pool: &PgPool, name: &'static str, stop: CancellationToken) -> Self {
        let (ring, bell) = watch::channel(());
        let options = pool.connect_options().as_ref().clone();
        tokio::spawn(async move {
            let listening = async {
                loop {
                    let line = sqlx::postgres::PgPoolOptions::new()
                        .max_connections(1)
                        .connect_lazy_with(options.clone());
                    // The relays poll while we cannot listen, and it is they who report an outage.
                    let _: Result<(), sqlx::Error> = listen(&line, name, &ring).await;
                    tokio::time::sleep(POLL * 4).await;
                }
            };
            tokio::select! {
                () = stop.cancelled() => {}
                () = listening => {}
            }
        });
        Self(bell)
    }

    /// Comes back at the next ring. Some are lost on the way, so who waits for one looks by itself
    /// every so often.
    pub async fn rung(&mut self) {
        if self.0.changed().await.is_err() {
            // Nobody listens any more: the process is stopping, and polling is all there is.
            std::future::pending::<()>().await;
        }
    }
}

/// Rings for each commit that rang the name, until the line is lost.
async fn listen(
    line: &PgPool,
    name: &'static str,
    ring: &watch::Sender<()>,
) -> Result<(), sqlx::Error> {
    let mut line = PgListener::connect_with(line).await?;
    line.listen(CHANNEL).await?;
    // What was published before we listened is found by looking.
    ring.send_replace(());
    // `None` is a line that was lost and mended: rings may have been missed.
    loop {
        let heard = line.try_recv().await?;
        if heard.is_none_or(|notice| notice.payload() == name) {
            ring.send_replace(());
        }
    }
}
