//! What gateways count together: one connection to Redis for all kinds of limits, and what holds
//! while it is away.
//!
//! Nobody waits for a Redis that is away: the first question that fails says so, and from then on
//! a task of its own asks each second whether it can be written to again.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use plugin_sdk::{BuildError, Env, Period};
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{FromRedisValue, RedisError, ScriptInvocation};
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::time::{sleep, timeout};

/// The longest that a call waits for Redis, where the table says nothing.
const WAIT: Duration = Duration::from_millis(50);
/// The longest that a call may be told to wait.
const MAX_WAIT: Duration = Duration::from_secs(5);
/// Between two questions whether Redis is back.
const AGAIN: Duration = Duration::from_secs(1);
/// For a connection to come about, when nobody waits for it.
const CONNECT: Duration = Duration::from_secs(1);
/// What is written to see that it can be.
const PROBE: &str = "vorota:probe";

/// Who counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Each gateway for itself.
    #[default]
    Local,
    /// All gateways together, in Redis. Without a Redis, each for itself.
    Cluster,
}

/// What holds while Redis can't be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnOutage {
    /// Each gateway counts for itself.
    Local,
    /// Everything passes.
    Allow,
    /// Nothing passes: 503.
    Deny,
}

/// Who counts, and what holds when they can't: the three keys that every kind has.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terms {
    pub(crate) scope: Scope,
    pub(crate) on_outage: OnOutage,
    pub(crate) wait: Duration,
}

impl Terms {
    /// Judges the three keys together.
    pub(crate) fn build(
        scope: Scope,
        on_outage: Option<OnOutage>,
        wait: Option<Period>,
    ) -> Result<Self, BuildError> {
        let alone = |at| Err(BuildError::new(at, "goes with `scope: cluster` alone"));
        let terms = |on_outage| Self {
            scope,
            on_outage,
            wait: wait.map_or(WAIT, |Period(wait)| wait),
        };
        match (scope, on_outage, wait) {
            (Scope::Local, Some(_), _) => alone("on_outage"),
            (Scope::Local, _, Some(_)) => alone("wait"),
            (Scope::Local, None, None) => Ok(terms(OnOutage::Local)),
            (Scope::Cluster, _, Some(Period(wait))) if wait.is_zero() || wait > MAX_WAIT => {
                Err(BuildError::new("wait", "is more than `5s`, or none at all"))
            }
            (Scope::Cluster, Some(rule), _) => Ok(terms(rule)),
            (Scope::Cluster, None, _) => Err(BuildError::new(
                "on_outage",
                "is missing: nobody has said what holds while Redis is away",
            )
            .hint("add `on_outage: local`, `allow` or `deny`")),
        }
    }

    /// The line to Redis, where the gateways count together and there is one.
    pub(crate) fn line(&self, env: &Env) -> Result<Option<Arc<Line>>, BuildError> {
        match (self.scope, &env.redis) {
            (Scope::Cluster, Some(url)) => Line::open(env, url, self.wait).map(Some),
            _ => Ok(None),
        }
    }
}

/// One limit's line to Redis, over the connection that all share.
pub(crate) struct Line {
    redis: Arc<Redis>,
    /// The longest that a call waits for an answer.
    wait: Duration,
    away: AtomicBool,
    env: Env,
}

impl Line {
    /// The line that this limit had before a reload, or a new one. The connection is made at once:
    /// the first call shall not wait for that as well.
    fn open(env: &Env, url: &Arc<str>, wait: Duration) -> Result<Arc<Self>, BuildError> {
        let client = redis::Client::open(&**url)
            .map_err(|error| BuildError::new("", format!("the address of Redis: {error}")))?;
        let redis = env.keep(&format!("redis {url}"), || Redis {
            client,
            connection: Mutex::default(),
        });
        let mut fresh = false;
        let line = env.keep(&format!("{} to redis {url} {wait:?}", env.name()), || {
            fresh = true;
            Self {
                redis,
                wait,
                away: AtomicBool::new(false),
                env: env.clone(),
            }
        });
        if fresh {
            let first = Arc::clone(&line);
            env.spawn(async move {
                if let Err(why) = first.try_out().await {
                    first.lost(&why);
                }
            });
        }
        Ok(line)
    }

    /// Whether Redis does not answer at the moment. Then it is not to be asked.
    pub(crate) fn is_away(&self) -> bool {
        self.away.load(Ordering::Relaxed)
    }

    /// The longest that a call waits for an answer.
    pub(crate) fn wait(&self) -> Duration {
        self.wait
    }

    /// Asks, and waits for the answer, not for long; `None` when there is none.
    pub(crate) async fn ask<T: FromRedisValue>(
        self: &Arc<Self>,
        question: &ScriptInvocation<'_>,
    ) -> Option<T> {
        if self.is_away() {
            return None;
        }
        let asked = async {
            let mut connection = self.redis.connection()?;
            // Loads the script first where Redis has forgotten it.
            question.invoke_async(&mut connection).await
        };
        match timeout(self.wait, asked).await {
            Ok(Ok(answer)) => Some(answer),
            Ok(Err(error)) => {
                self.lost(&error.to_string());
                None
            }
            Err(late) => {
                self.lost(&late.to_string());
                None
            }
        }
    }

    /// What an answer said makes no sense.
    pub(crate) fn nonsense(self: &Arc<Self>) {
        self.lost("its answer makes no sense");
    }

    /// From now on nobody asks, until it is back.
    fn lost(self: &Arc<Self>, why: &str) {
        if self.away.swap(true, Ordering::Relaxed) {
            return;
        }
        self.env.count("redis_outage");
        tracing::warn!(
            limit = self.env.name(),
            why,
            "Redis does not count: `on_outage` holds"
        );
        self.env.spawn(until_back(Arc::downgrade(self)));
    }

    /// Whether it can be written to, and in time: a replica that has not become the master yet
    /// answers a PING as well.
    async fn try_out(&self) -> Result<(), String> {
        let ask = async {
            let mut connection = self.redis.connection()?;
            redis::cmd("PING").exec_async(&mut connection).await?;
            Ok(connection)
        };
        let mut connection = timeout(CONNECT, ask)
            .await
            .map_err(|late| late.to_string())?
            .map_err(|error: RedisError| error.to_string())?;
        let mut write = redis::cmd("SET");
        write.arg(PROBE).arg(1).arg("PX").arg(1_000);
        timeout(self.wait, write.exec_async(&mut connection))
            .await
            .map_err(|late| late.to_string())?
            .map_err(|error| error.to_string())
    }
}

/// Asks each second, until Redis answers or nobody wants to know any more.
async fn until_back(line: Weak<Line>) {
    loop {
        sleep(AGAIN).await;
        let Some(line) = line.upgrade() else { return };
        if line.try_out().await.is_ok() {
            line.away.store(false, Ordering::Relaxed);
            line.env.count("redis_back");
            tracing::info!(limit = line.env.name(), "Redis counts again");
            return;
        }
        // The name may lead elsewhere by now, where a new master is.
        line.redis.forget();
    }
}

/// The connection to a Redis, made at the first question.
struct Redis {
    client: redis::Client,
    connection: Mutex<Option<ConnectionManager>>,
}

impl Redis {
    /// A handle on the one connection, which makes itself anew when it breaks.
    fn connection(&self) -> Result<ConnectionManager, RedisError> {
        let mut kept = self
            .connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(connection) = &*kept {
            return Ok(connection.clone());
        }
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(CONNECT))
            .set_response_timeout(Some(MAX_WAIT))
            .set_number_of_retries(1)
            .set_min_delay(Duration::from_millis(100))
            .set_max_delay(Duration::from_secs(1));
        let made = ConnectionManager::new_lazy_with_config(self.client.clone(), config)?;
        Ok(kept.insert(made).clone())
    }

    fn forget(&self) {
        *self
            .connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = None;
    }
}
