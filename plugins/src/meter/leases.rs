use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use moka::sync::Cache;
use plugin_sdk::{Clock, Env};
use redis::Script;
use tokio::time::timeout;

use super::local::cache;
use super::rule::{Rule, Verdict};
use crate::cluster::Line;

static LEASE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("lease.lua")));

/// Of a quota no more is taken at a time.
const MAX_SHARE: u32 = 100;

/// A limit's share of what all gateways count together.
///
/// A gateway lets calls through from a lease, which is taken and renewed in the background; while
/// it has none, on credit for as many as a lease has. What was let through on credit is settled at
/// once, and taken whatever is left: for a moment all gateways together may let through a lease
/// each too many, which the next ones wait for. Over time there is no error.
pub(super) struct Leases {
    rule: Rule,
    /// Each call that may pass asks Redis.
    exact: bool,
    /// How many calls a lease has.
    size: u32,
    /// What the limit's keys in Redis begin with.
    prefix: String,
    leases: Cache<Vec<u8>, Arc<Lease>>,
    line: Arc<Line>,
    clock: Arc<dyn Clock>,
}

/// What this gateway knows of one key.
struct Lease {
    /// Calls that it may let through unasked; below nought, those it let through on credit.
    balance: AtomicI64,
    /// What was left for all when Redis was last asked, and when calls come back.
    left: AtomicU32,
    back_at: AtomicU64,
    /// Until then Redis would say no.
    refused_until: AtomicU64,
    /// One asks at a time; the others find what it got.
    asking: tokio::sync::Mutex<()>,
    settling: AtomicBool,
}

/// What is known without asking.
pub(super) enum Answer {
    Verdict(Verdict),
    /// Nothing: ask.
    Ask,
    /// Nothing, and Redis is not to be asked now.
    Away,
}

/// What Redis said, made sense of.
struct Granted {
    calls: u32,
    left: u32,
    wait_us: u64,
}

impl Leases {
    pub(super) fn new(
        rule: Rule,
        exact: bool,
        prefix: String,
        line: Arc<Line>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let size = match rule {
            _ if exact => 1,
            // A call leased and not made would be missing in the window.
            Rule::Window { .. } => 1,
            Rule::Bucket { burst, .. } => (burst / 10).max(1),
            Rule::Calendar { count, .. } => (count / 100).clamp(1, MAX_SHARE),
        };
        Self {
            rule,
            exact,
            size,
            prefix,
            leases: cache(rule),
            line,
            clock,
        }
    }

    /// Judges a call by what is known here, and settles in the background.
    pub(super) fn take(self: &Arc<Self>, key: &[u8], now: u64, env: &Env) -> Answer {
        let lease = self.lease_of(key);
        let away = self.line.is_away();
        if self.exact {
            return match lease.refused(now) {
                Some(verdict) => Answer::Verdict(verdict),
                None if away => Answer::Away,
                None => Answer::Ask,
            };
        }
        if matches!(self.rule, Rule::Calendar { .. }) {
            lease.turn(now);
        }
        let spent = lease.spend(0).or_else(|| {
            let may = !away && lease.refused(now).is_none();
            may.then(|| lease.spend(-i64::from(self.size)))?
        });
        if let Some(balance) = spent {
            if balance <= i64::from(self.size / 4) {
                self.settle(key, &lease, now, env);
            }
            return Answer::Verdict(self.admitted(&lease, now));
        }
        match lease.refused(now) {
            Some(verdict) => Answer::Verdict(verdict),
            None if away => Answer::Away,
            None => Answer::Ask,
        }
    }

    /// Asks Redis, or finds what another call just got; `None` when there is no answer in time.
    pub(super) async fn ask(
        self: &Arc<Self>,
        key: &[u8],
        now: impl Fn() -> u64,
    ) -> Option<Verdict> {
        let lease = self.lease_of(key);
        if self.exact {
            let granted = self.fetch(key, &lease, 1, 0, &now).await?;
            return Some(Verdict {
                admitted: granted.calls > 0,
                left: granted.left,
                wait: Duration::from_micros(granted.wait_us),
            });
        }
        // Behind others who ask the same it may take longer than one answer does.
        let asked = async {
            let _one = lease.asking.lock().await;
            if let Some(known) = self.known(&lease, now()) {
                return Some(known);
            }
            self.pay(key, &lease, &now).await?;
            self.known(&lease, now())
        };
        timeout(self.line.wait(), asked).await.ok().flatten()
    }

    fn known(&self, lease: &Lease, now: u64) -> Option<Verdict> {
        match lease.spend(0) {
            Some(_) => Some(self.admitted(lease, now)),
            None => lease.refused(now),
        }
    }

    fn admitted(&self, lease: &Lease, now: u64) -> Verdict {
        let left = i64::from(lease.left.load(Ordering::Relaxed));
        let left = (left + lease.balance.load(Ordering::Relaxed)).max(0);
        let back_at = lease.back_at.load(Ordering::Relaxed);
        Verdict {
            admitted: true,
            left: u32::try_from(left).map_or(u32::MAX, |left| left.min(self.rule.quota())),
            wait: Duration::from_micros(back_at.saturating_sub(now)),
        }
    }

    fn settle(self: &Arc<Self>, key: &[u8], lease: &Arc<Lease>, now: u64, env: &Env) {
        let in_vain = lease.refused(now).is_some() || self.line.is_away();
        if in_vain || lease.settling.swap(true, Ordering::AcqRel) {
            return;
        }
        let (leases, lease, key) = (Arc::clone(self), Arc::clone(lease), key.to_vec());
        let clock = Arc::clone(&self.clock);
        let rule = self.rule;
        env.spawn(async move {
            let _one = lease.asking.lock().await;
            let now = || super::now_us(rule, &*clock);
            // What is let through on credit meanwhile is settled too, as long as Redis answers.
            while leases.pay(&key, &lease, &now).await.is_some()
                && lease.balance.load(Ordering::Acquire) < 0
            {}
            lease.settling.store(false, Ordering::Release);
        });
    }

    /// Pays what is owed and takes a lease; `None` when there is no answer.
    async fn pay(self: &Arc<Self>, key: &[u8], lease: &Lease, now: impl Fn() -> u64) -> Option<()> {
        let balance = lease.balance.load(Ordering::Acquire);
        let owed = u32::try_from(-balance).unwrap_or(0);
        let granted = self.fetch(key, lease, self.size, owed, now).await?;
        let paid = i64::from(owed) + i64::from(granted.calls);
        lease.balance.fetch_add(paid, Ordering::AcqRel);
        Some(())
    }

    async fn fetch(
        self: &Arc<Self>,
        key: &[u8],
        lease: &Lease,
        want: u32,
        owed: u32,
        now: impl Fn() -> u64,
    ) -> Option<Granted> {
        let (kind, most, us, offset) = match self.rule {
            Rule::Window { count, window_us } => ("window", count, window_us, 0),
            Rule::Bucket { burst, interval_us } => ("bucket", burst, interval_us, 0),
            Rule::Calendar {
                count,
                length_us,
                offset_us,
            } => ("calendar", count, length_us, offset_us),
        };
        let mut name = self.prefix.clone().into_bytes();
        name.extend_from_slice(key);
        let mut question = LEASE.key(name);
        question.arg(kind).arg(most).arg(us);
        question.arg(want).arg(owed).arg(offset);
        let (calls, left, wait_us): (u32, u32, u64) = self.line.ask(&question).await?;
        let longest = 3 * u64::try_from(self.rule.quota_in().as_micros()).unwrap_or(0) + 1_000_000;
        if calls > want || left > most || wait_us > longest {
            self.line.nonsense();
            return None;
        }
        let now = now();
        if left == 0 {
            // Not at once again for what little has come back: half a lease is worth a question.
            let pause = match self.rule {
                Rule::Bucket { interval_us, .. } => interval_us * u64::from(self.size / 2),
                _ => 0,
            };
            let until = now + wait_us.max(pause);
            lease.refused_until.store(until, Ordering::Relaxed);
        }
        lease.left.store(left, Ordering::Relaxed);
        lease.back_at.store(now + wait_us, Ordering::Relaxed);
        Some(Granted {
            calls,
            left,
            wait_us,
        })
    }

    fn lease_of(&self, key: &[u8]) -> Arc<Lease> {
        self.leases.get_with_by_ref(key, || {
            Arc::new(Lease {
                balance: AtomicI64::new(0),
                // Until Redis is asked it looks as if nobody had called.
                left: AtomicU32::new(self.rule.quota()),
                back_at: AtomicU64::new(0),
                refused_until: AtomicU64::new(0),
                asking: tokio::sync::Mutex::default(),
                settling: AtomicBool::new(false),
            })
        })
    }
}

impl Lease {
    /// Lets a call through unless the balance is at the floor; the balance after it.
    fn spend(&self, floor: i64) -> Option<i64> {
        let spent = self
            .balance
            .fetch_update(Ordering::AcqRel, Ordering::Relaxed, |balance| {
                (balance > floor).then(|| balance - 1)
            });
        spent.ok().map(|before| before - 1)
    }

    /// The refusal that Redis would give, as far as that is known.
    fn refused(&self, now: u64) -> Option<Verdict> {
        let until = self.refused_until.load(Ordering::Relaxed);
        (now < until).then(|| Verdict {
            admitted: false,
            left: 0,
            wait: Duration::from_micros(until - now),
        })
    }

    /// At a turn of the calendar all that was taken or owed is past.
    fn turn(&self, now: u64) {
        let ends = self.back_at.load(Ordering::Relaxed);
        let ended = ends != 0 && now >= ends;
        if ended
            && self
                .back_at
                .compare_exchange(ends, 0, Ordering::AcqRel, Ordering::Relaxed)
                .is_ok()
        {
            self.balance.store(0, Ordering::Release);
        }
    }
}
