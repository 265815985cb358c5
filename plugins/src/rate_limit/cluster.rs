use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use plugin_sdk::{BuildError, Clock, Env};
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{RedisError, Script};
use tokio::sync::OnceCell;
use tokio::time::timeout;

use super::config::MAX_WAIT;
use super::local::cache;
use super::rule::{Rule, Verdict};

/// After a question that failed nobody asks for this long.
const AWAY_US: u64 = 1_000_000;

static LEASE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("lease.lua")));

/// A limit's share of what all gateways count together.
pub(super) struct Cluster {
    rule: Rule,
    /// How many calls are taken at a time.
    lease: u32,
    /// The longest that a call waits for an answer.
    wait: Duration,
    /// What the limit's keys in Redis begin with.
    prefix: String,
    leases: moka::sync::Cache<Vec<u8>, Arc<Lease>>,
    redis: Arc<Redis>,
    clock: Arc<dyn Clock>,
    /// When Redis may be asked again, and whether it answered last time.
    away_until: AtomicU64,
    away: AtomicBool,
}

/// The calls of one key that this gateway may let through unasked.
#[derive(Default)]
struct Lease {
    calls: AtomicU32,
    /// What was left for all when Redis was last asked, and when calls come back.
    left: AtomicU32,
    back_at: AtomicU64,
    /// Until then Redis would say no.
    refused_until: AtomicU64,
    /// One asks at a time; the others find what it got.
    asking: tokio::sync::Mutex<()>,
    refilling: AtomicBool,
}

/// What is known without asking.
pub(super) enum Answer {
    Verdict(Verdict),
    /// Nothing: ask.
    Ask,
    /// Nothing, and Redis is not to be asked now.
    Away,
}

/// The connection to a Redis, shared by all limits; made at the first question.
struct Redis {
    client: redis::Client,
    connection: OnceCell<ConnectionManager>,
}

impl Cluster {
    /// The cluster's side of the limit that is kept under this name.
    pub(super) fn kept(
        kept: &str,
        name: &str,
        rule: Rule,
        wait: Duration,
        url: &Arc<str>,
        env: &Env,
    ) -> Result<Arc<Self>, BuildError> {
        let client = redis::Client::open(&**url)
            .map_err(|error| BuildError::new("", format!("the address of Redis: {error}")))?;
        let redis = env.keep(&format!("redis {url}"), || Redis {
            client,
            connection: OnceCell::new(),
        });
        // The first call shall not wait for a connection to be made as well.
        env.spawn(warm(Arc::clone(&redis)));
        let (kind, most, us) = spelled(rule);
        Ok(env.keep(
            &format!("rate_limit of the cluster {kept} {wait:?} {url}"),
            || Self {
                rule,
                lease: match rule {
                    // A call leased and not made would be missing in the window.
                    Rule::Window { .. } => 1,
                    Rule::Bucket { burst, .. } => (burst / 10).max(1),
                },
                wait,
                // With the rule in it: what another rule has written there would be misread.
                prefix: format!("vorota:limit:{name}:{kind}:{most}:{us}:"),
                leases: cache(rule),
                redis,
                clock: Arc::clone(&env.clock),
                away_until: AtomicU64::new(0),
                away: AtomicBool::new(false),
            },
        ))
    }

    /// Judges a call by what is known here, and fetches more in the background before it runs out.
    pub(super) fn take(self: &Arc<Self>, key: &[u8], now: u64, env: &Env) -> Answer {
        let lease = self.lease_of(key);
        if let Some(verdict) = lease.judge(now) {
            let calls = lease.calls.load(Ordering::Relaxed);
            if verdict.admitted && self.lease > 1 && calls <= self.lease / 4 {
                self.refill(key, &lease, now, env);
            }
            return Answer::Verdict(verdict);
        }
        if now < self.away_until.load(Ordering::Relaxed) {
            return Answer::Away;
        }
        Answer::Ask
    }

    /// Asks Redis, or finds what another call just got; `None` when there is no answer in time.
    pub(super) async fn ask(&self, key: &[u8]) -> Option<Verdict> {
        let lease = self.lease_of(key);
        self.in_time(async {
            let _one = lease.asking.lock().await;
            match lease.judge(self.now_us()) {
                Some(verdict) => Ok(verdict),
                None => self.fetch(key, &lease, 1).await,
            }
        })
        .await
    }

    fn refill(self: &Arc<Self>, key: &[u8], lease: &Arc<Lease>, now: u64, env: &Env) {
        let in_vain = now < lease.refused_until.load(Ordering::Relaxed)
            || now < self.away_until.load(Ordering::Relaxed);
        if in_vain || lease.refilling.swap(true, Ordering::Relaxed) {
            return;
        }
        let (cluster, lease, key) = (Arc::clone(self), Arc::clone(lease), key.to_vec());
        env.spawn(async move {
            let asked = async {
                let _one = lease.asking.lock().await;
                cluster.fetch(&key, &lease, 0).await
            };
            cluster.in_time(asked).await;
            lease.refilling.store(false, Ordering::Relaxed);
        });
    }

    /// Waits for an answer, not for long; when there is none, nobody asks for a while.
    async fn in_time(
        &self,
        asked: impl Future<Output = Result<Verdict, RedisError>>,
    ) -> Option<Verdict> {
        let why = match timeout(self.wait, asked).await {
            Ok(Ok(verdict)) => {
                if self.away.swap(false, Ordering::Relaxed) {
                    tracing::info!(limit = self.prefix, "Redis counts again");
                }
                return Some(verdict);
            }
            Ok(Err(error)) => error.to_string(),
            Err(late) => late.to_string(),
        };
        self.away_until
            .store(self.now_us() + AWAY_US, Ordering::Relaxed);
        if !self.away.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                limit = self.prefix,
                why,
                "Redis does not count: `on_outage` holds"
            );
        }
        None
    }

    /// Takes a lease, of which `spend` calls are made at once.
    async fn fetch(&self, key: &[u8], lease: &Lease, spend: u32) -> Result<Verdict, RedisError> {
        let mut connection = self.redis.connection().await?;
        let (kind, most, us) = spelled(self.rule);
        let mut name = self.prefix.clone().into_bytes();
        name.extend_from_slice(key);
        // Loads the script first where Redis has forgotten it.
        let (granted, left, wait): (u32, u32, u64) = LEASE
            .key(name)
            .arg(kind)
            .arg(most)
            .arg(us)
            .arg(self.lease)
            .invoke_async(&mut connection)
            .await?;
        let now = self.now_us();
        if granted == 0 {
            // Not at once again for what little has come back: half a lease is worth a question.
            let pause = wait.max(us * u64::from(self.lease / 2));
            lease.refused_until.store(now + pause, Ordering::Relaxed);
            return Ok(refused(wait));
        }
        lease.left.store(left, Ordering::Relaxed);
        lease.back_at.store(now + wait, Ordering::Relaxed);
        let unspent = granted.saturating_sub(spend);
        let calls = lease.calls.fetch_add(unspent, Ordering::AcqRel) + unspent;
        Ok(Verdict {
            admitted: true,
            left: left + calls,
            wait: Duration::from_micros(wait),
        })
    }

    fn lease_of(&self, key: &[u8]) -> Arc<Lease> {
        self.leases.get_with_by_ref(key, Arc::default)
    }

    fn now_us(&self) -> u64 {
        u64::try_from(self.clock.monotonic().as_micros()).unwrap_or(u64::MAX)
    }
}

impl Lease {
    /// Spends a leased call, or says no from memory; `None` when only Redis knows.
    fn judge(&self, now: u64) -> Option<Verdict> {
        let spent = self
            .calls
            .fetch_update(Ordering::AcqRel, Ordering::Relaxed, |calls| {
                calls.checked_sub(1)
            });
        if let Ok(calls) = spent {
            let back_at = self.back_at.load(Ordering::Relaxed);
            return Some(Verdict {
                admitted: true,
                left: self.left.load(Ordering::Relaxed) + calls - 1,
                wait: Duration::from_micros(back_at.saturating_sub(now)),
            });
        }
        let until = self.refused_until.load(Ordering::Relaxed);
        (now < until).then(|| refused(until - now))
    }
}

/// The rule as the script takes it.
fn spelled(rule: Rule) -> (&'static str, u32, u64) {
    match rule {
        Rule::Window { count, window_us } => ("window", count, window_us),
        Rule::Bucket { burst, interval_us } => ("bucket", burst, interval_us),
    }
}

fn refused(wait_us: u64) -> Verdict {
    Verdict {
        admitted: false,
        left: 0,
        wait: Duration::from_micros(wait_us),
    }
}

impl Redis {
    /// A handle on the one connection, which makes itself anew when it breaks.
    async fn connection(&self) -> Result<ConnectionManager, RedisError> {
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(Duration::from_secs(1)))
            .set_response_timeout(Some(MAX_WAIT))
            .set_number_of_retries(1)
            .set_min_delay(Duration::from_millis(100))
            .set_max_delay(Duration::from_secs(1));
        let lazy =
            || async { ConnectionManager::new_lazy_with_config(self.client.clone(), config) };
        self.connection.get_or_try_init(lazy).await.cloned()
    }
}

/// Makes the connection. Whether that works is seen, and said, by the first call that needs it.
async fn warm(redis: Arc<Redis>) {
    if let Ok(mut connection) = redis.connection().await {
        let _: Result<(), RedisError> = redis::cmd("PING").query_async(&mut connection).await;
    }
}
