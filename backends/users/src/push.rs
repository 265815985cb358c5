//! Telling gateways at once, over Redis: all news as soon as it is committed, and four times a second
//! how far it is, so that whoever hears nothing knows that something is wrong and whoever missed a
//! message knows that too. Gateways ask for what they missed.
//!
//! Every replica pushes: to hear it twice is harmless, and no replica has to know that another one
//! still lives.

use std::{future::Future, sync::Arc, time::Duration};

use anyhow::Context;
use host::Job;
use redis::{
    AsyncCommands,
    aio::{ConnectionManager, ConnectionManagerConfig},
};
use tokio::sync::{Mutex, OnceCell};

/// How often it is told how far things are when nothing happens. Gateways ask by themselves when they
/// have heard nothing for twice as long, so that no news takes a second even then.
const PULSE: Duration = Duration::from_millis(250);
/// Between two attempts at a connection to Redis, at most.
const RETRY: Duration = Duration::from_secs(1);
/// Rounds don't follow each other faster than this: what comes meanwhile goes together.
const PAUSE: Duration = Duration::from_millis(5);
/// The longest that Redis, or the database, may take over one round.
pub(crate) const ANSWER: Duration = Duration::from_secs(2);

/// Something to tell. Where it has got to is a number, as its reader sees it.
pub(crate) trait News: Send + Sync + 'static {
    /// Names the job that pushes it.
    const JOB: &'static str;
    /// Where it is published. Gateways subscribe to the channel of the upstream that they ask, and
    /// that is named after this app.
    const CHANNEL: &'static str;
    /// What it is, in the words of the log: "they are pushed again".
    const WHAT: &'static str;

    /// Comes back when there may be more to tell than what was. May be given up at any time.
    fn come(&self, told: Option<i64>) -> impl Future<Output = ()> + Send;

    /// What to tell to those who were told up to a number, none at the start, and up to which number
    /// they then know.
    fn message(
        &self,
        told: Option<i64>,
    ) -> impl Future<Output = anyhow::Result<(Vec<u8>, i64)>> + Send;
}

/// Pushes, round after round.
pub(crate) fn job<N: News>(redis: redis::Client, news: N) -> Job {
    let push = Arc::new(Push {
        news,
        redis,
        line: OnceCell::new(),
        state: Mutex::default(),
    });
    Job {
        name: N::JOB,
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

struct Push<N> {
    news: N,
    redis: redis::Client,
    line: OnceCell<ConnectionManager>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Up to where it was pushed.
    told: Option<i64>,
    away: bool,
}

impl<N: News> Push<N> {
    /// Waits for something to tell, or for the pulse, and tells it. An outage is said once.
    async fn turn(&self) {
        let mut state = self.state.lock().await;
        let _ = tokio::time::timeout(PULSE, self.news.come(state.told)).await;
        let told = self.tell(&mut state.told).await;
        match (told, state.away) {
            (Ok(()), true) => tracing::info!("{} are pushed again", N::WHAT),
            (Err(error), false) => tracing::warn!(
                error = format!("{error:#}"),
                "{} are not pushed; gateways ask for them",
                N::WHAT
            ),
            _ => return,
        }
        state.away = !state.away;
    }

    async fn tell(&self, told: &mut Option<i64>) -> anyhow::Result<()> {
        let (message, next) = self.news.message(*told).await?;
        let publish = async {
            let mut line = self.line().await?;
            line.publish::<_, _, ()>(N::CHANNEL, message).await
        };
        tokio::time::timeout(ANSWER, publish)
            .await
            .context("waiting for Redis")?
            .context("publishing to Redis")?;
        *told = Some(next);
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
