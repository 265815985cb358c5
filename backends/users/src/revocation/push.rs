//! Telling gateways at once, over Redis: every revocation as soon as it is committed, and how far
//! the numbers are four times a second, so that whoever hears nothing knows that something is wrong and
//! whoever missed a message knows that too. Gateways ask for what they missed.
//!
//! Every replica pushes: to hear it twice is harmless, and no replica has to know that another one
//! still lives.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use host::{Clock, Job};
use redis::AsyncCommands;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use sqlx::PgPool;
use tokio::sync::{Mutex, OnceCell};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{BELL, store};

/// Where it is published. Gateways subscribe to the channel of the upstream that is their feed, and
/// that is named after this app.
const CHANNEL: &str = "vorota:revocations:users";
/// How often the numbers are told when nothing happens. Gateways ask by themselves when they have
/// heard nothing for twice as long, so that no revocation takes a second even then.
const PULSE: Duration = Duration::from_millis(250);
/// Between two attempts at a connection to Redis, at most.
const RETRY: Duration = Duration::from_secs(1);
/// Rounds don't follow each other faster than this: what comes meanwhile goes together.
const PAUSE: Duration = Duration::from_millis(5);
/// The longest that Redis, or the database, may take over one round.
const ANSWER: Duration = Duration::from_secs(2);
/// Rows in one message. A backlog of more is not pushed: who asks for it gets it sooner.
const MESSAGE: i64 = 200;

/// Pushes, round after round.
pub(crate) fn job(pool: &PgPool, redis: redis::Client, clock: Clock) -> Job {
    let push = Arc::new(Push {
        pool: pool.clone(),
        redis,
        clock,
        line: OnceCell::new(),
        state: Mutex::default(),
    });
    Job {
        name: "revocation_push",
        every: PAUSE,
        limit: PULSE + 2 * ANSWER,
        run: Arc::new(move || {
            let push = push.clone();
            Box::pin(async move {
                push.turn().await;
                Ok(())
            })
        }),
    }
}

struct Push {
    pool: PgPool,
    redis: redis::Client,
    clock: Clock,
    line: OnceCell<ConnectionManager>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Rings for every revocation, of this replica or another; listened for until this is dropped.
    bell: Option<(pg::Bell, DropGuard)>,
    /// The last number that was pushed.
    cursor: Option<i64>,
    away: bool,
}

impl Push {
    /// Waits for something to tell, or for the pulse, and tells it. An outage is said once.
    async fn turn(&self) {
        let mut state = self.state.lock().await;
        let (bell, _) = state.bell.get_or_insert_with(|| {
            let stop = CancellationToken::new();
            let bell = pg::Bell::hang(&self.pool, BELL, stop.clone());
            (bell, stop.drop_guard())
        });
        let _ = tokio::time::timeout(PULSE, bell.rung()).await;
        let told = self.tell(&mut state.cursor).await;
        match (told, state.away) {
            (Ok(()), true) => tracing::info!("revocations are pushed again"),
            (Err(error), false) => tracing::warn!(
                error = format!("{error:#}"),
                "revocations are not pushed; gateways ask for them"
            ),
            _ => return,
        }
        state.away = !state.away;
    }

    async fn tell(&self, cursor: &mut Option<i64>) -> anyhow::Result<()> {
        let page = store::page(&self.pool, *cursor, MESSAGE, self.clock.now());
        let mut page = pg::within(ANSWER, page)
            .await
            .context("reading what was revoked")?;
        if cursor.is_none() || page.next < page.head {
            // At the start, and far behind after an outage: gateways have asked for all that.
            (page.after, page.next) = (page.head, page.head);
            page.items.clear();
        }
        let message = serde_json::to_vec(&page).context("writing a message")?;
        let publish = async {
            let mut line = self.line().await?;
            line.publish::<_, _, ()>(CHANNEL, message).await
        };
        tokio::time::timeout(ANSWER, publish)
            .await
            .context("waiting for Redis")?
            .context("publishing to Redis")?;
        *cursor = Some(page.next);
        Ok(())
    }

    /// The connection, which makes itself anew when it breaks.
    async fn line(&self) -> Result<ConnectionManager, redis::RedisError> {
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(ANSWER))
            .set_response_timeout(Some(ANSWER))
            .set_number_of_retries(1)
            .set_max_delay(RETRY);
        let lazy = || async { ConnectionManager::new_lazy_with_config(self.redis.clone(), config) };
        self.line.get_or_try_init(lazy).await.cloned()
    }
}
