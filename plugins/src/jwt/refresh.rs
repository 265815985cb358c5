use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use arc_swap::{ArcSwapOption, Guard};
use plugin_sdk::{Clock, Env, FetchError};
use serde_json::Value;
use tokio::sync::{Notify, watch};

use super::Alg;
use super::config::Times;
use super::discovery::{self, DiscoveryError};
use super::keys::{KeySet, KeySetError};

/// Between two fetches that requests asked for: a flood of unknown key ids is one fetch.
const COOLDOWN: Duration = Duration::from_secs(10);

/// The same while there are no keys to go by: every request fails until there are.
const COOLDOWN_WITHOUT: Duration = Duration::from_secs(1);

/// After a fetch that failed: doubled each time, up to this.
const RETRY_MAX: Duration = Duration::from_secs(30);

/// So many fetches that fail one after another say that the issuer is away: some seconds.
const MAX_FAILURES: u32 = 3;

/// A longer document than this is none, in bytes.
const MAX_DOCUMENT_BYTES: usize = 64 * 1024;

/// An issuer's keys as they are now. One task fetches them, nobody else.
pub(crate) struct Keys {
    set: ArcSwapOption<KeySet>,
    remote: Option<Remote>,
}

/// Where keys are fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The URL of a key set.
    KeySet(String),
    /// An issuer that describes itself.
    Issuer(String),
}

struct Remote {
    origin: Origin,
    algs: Vec<Alg>,
    times: Times,
    clock: Arc<dyn Clock>,
    /// What the issuer said of itself when the keys were last had.
    description: ArcSwapOption<Value>,
    /// How many fetches have failed since one did not.
    failures: AtomicU32,
    started: AtomicBool,
    /// When the keys were last had and last asked for, in milliseconds of the monotonic clock.
    had_ms: AtomicU64,
    asked_ms: AtomicU64,
    /// Whether a fetch is under way or asked for.
    pending: watch::Sender<bool>,
    wanted: Arc<Notify>,
}

#[derive(Debug, thiserror::Error)]
enum RefreshError {
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error(transparent)]
    KeySet(#[from] KeySetError),
    #[error(transparent)]
    Discovery(#[from] DiscoveryError),
}

impl Keys {
    /// Keys that don't change until the table is loaded again.
    pub(super) fn fixed(set: KeySet) -> Self {
        Self {
            set: ArcSwapOption::from_pointee(set),
            remote: None,
        }
    }

    /// Keys that are fetched once [`Keys::start`] is called.
    pub(crate) fn remote(origin: Origin, algs: &[Alg], times: Times, env: &Env) -> Self {
        Self {
            set: ArcSwapOption::empty(),
            remote: Some(Remote {
                origin,
                algs: algs.to_vec(),
                times,
                clock: Arc::clone(&env.clock),
                description: ArcSwapOption::empty(),
                failures: AtomicU32::new(0),
                started: AtomicBool::new(false),
                had_ms: AtomicU64::new(0),
                asked_ms: AtomicU64::new(0),
                pending: watch::Sender::new(true),
                wanted: Arc::new(Notify::new()),
            }),
        }
    }

    /// Starts the task that keeps the keys fresh, the first time it is called. The task ends with
    /// the last holder of the keys.
    pub(crate) fn start(self: &Arc<Self>, env: &Env) {
        let Some(remote) = &self.remote else { return };
        if !remote.started.swap(true, Ordering::Relaxed) {
            let wanted = Arc::clone(&remote.wanted);
            env.spawn(keep_fresh(Arc::downgrade(self), wanted, env.clone()));
        }
    }

    /// The keys, unless there are none yet or they are too old to be trusted.
    pub(crate) fn current(&self) -> Option<Arc<KeySet>> {
        let set: Guard<Option<Arc<KeySet>>> = self.set.load();
        let stale = self.remote.as_ref().is_some_and(Remote::is_stale);
        set.as_ref().filter(|_| !stale).map(Arc::clone)
    }

    /// What the issuer says of itself. `None` when it was not asked, never answered, or has not
    /// answered for a while: then nobody should be sent there.
    pub(crate) fn description(&self) -> Option<Arc<Value>> {
        let remote = self.remote.as_ref()?;
        let here = remote.failures.load(Ordering::Relaxed) < MAX_FAILURES && !remote.is_stale();
        here.then(|| remote.description.load_full())?
    }

    /// Asks for a fetch. False when the last one is too fresh, or keys are never fetched.
    pub(crate) fn want(&self) -> bool {
        let Some(remote) = &self.remote else {
            return false;
        };
        let cooldown = match self.current() {
            Some(_) => COOLDOWN,
            None => COOLDOWN_WITHOUT,
        };
        let mut wanted = false;
        // Under the channel's lock: of many requests that ask at once, one wakes the task.
        remote.pending.send_if_modified(|pending| {
            let asked_ms = remote.asked_ms.load(Ordering::Relaxed);
            let since = Duration::from_millis(remote.now_ms().saturating_sub(asked_ms));
            let wake = !*pending && since >= cooldown;
            if wake {
                *pending = true;
                remote.wanted.notify_one();
            }
            wanted = *pending;
            wake
        });
        wanted
    }

    /// Waits until the fetch that is under way or asked for has ended, or the time is up.
    pub(crate) async fn fetched(&self, within: Duration) {
        let Some(remote) = &self.remote else { return };
        let mut pending = remote.pending.subscribe();
        // Whether it came in time is seen by the keys that are there then.
        let _ = tokio::time::timeout(within, pending.wait_for(|pending| !pending)).await;
    }

    /// Fetches the document. What is no key set changes nothing.
    async fn fetch(&self, remote: &Remote, env: &Env) -> Result<(), RefreshError> {
        let document = match &remote.origin {
            Origin::KeySet(url) => env.fetch.get(url, MAX_DOCUMENT_BYTES).await?,
            // Asked anew each time: an issuer may move its keys.
            Origin::Issuer(issuer) => {
                let (description, url) = discovery::describe(issuer, env).await?;
                let document = env.fetch.get(&url, MAX_DOCUMENT_BYTES).await?;
                remote.description.store(Some(Arc::new(description)));
                document
            }
        };
        let known = self.set.load();
        if !known.as_ref().is_some_and(|set| set.is_from(&document)) {
            let set = KeySet::parse(document, &remote.algs)?;
            self.set.store(Some(Arc::new(set)));
        }
        remote.had_ms.store(remote.now_ms(), Ordering::Relaxed);
        Ok(())
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::KeySet(text) | Self::Issuer(text) => f.write_str(text),
        }
    }
}

impl Remote {
    fn now_ms(&self) -> u64 {
        u64::try_from(self.clock.monotonic().as_millis()).unwrap_or(u64::MAX)
    }

    fn is_stale(&self) -> bool {
        let age = self
            .now_ms()
            .saturating_sub(self.had_ms.load(Ordering::Relaxed));
        Duration::from_millis(age) > self.times.stale
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        if let Some(remote) = &self.remote {
            // Wakes the task, which finds nobody left.
            remote.wanted.notify_one();
        }
    }
}

async fn keep_fresh(keys: Weak<Keys>, wanted: Arc<Notify>, env: Env) {
    loop {
        let pause = {
            let Some(keys) = keys.upgrade() else { return };
            let Some(remote) = &keys.remote else { return };
            remote.pending.send_replace(true);
            remote.asked_ms.store(remote.now_ms(), Ordering::Relaxed);
            let fetched = keys.fetch(remote, &env).await;
            remote.pending.send_replace(false);
            match fetched {
                Ok(()) => {
                    remote.failures.store(0, Ordering::Relaxed);
                    env.count("keys_fetched");
                    jittered(remote.times.refresh)
                }
                Err(error) => {
                    let failures = 1 + remote.failures.fetch_add(1, Ordering::Relaxed);
                    env.count("keys_not_fetched");
                    tracing::warn!(
                        way = env.name(), from = %remote.origin, failures, %error,
                        "the issuer's keys could not be refreshed; the known ones hold until stale"
                    );
                    jittered(backoff(failures).min(remote.times.refresh))
                }
            }
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = wanted.notified() => {}
        }
    }
}

fn backoff(failures: u32) -> Duration {
    Duration::from_secs(1 << failures.saturating_sub(1).min(5)).min(RETRY_MAX)
}

/// Up to a tenth less, so that gateways that started together don't ask together for ever.
fn jittered(pause: Duration) -> Duration {
    let tenth = u64::try_from(pause.as_millis() / 10)
        .unwrap_or(u64::MAX)
        .max(1);
    let random = RandomState::new().build_hasher().finish() % tenth;
    pause - Duration::from_millis(random).min(pause)
}
