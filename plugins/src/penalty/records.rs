use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use plugin_sdk::Clock;
use redis::Script;

use super::record::{Record, Rule};
use crate::cluster::Line;

/// Keys that a penalty remembers, in each gateway.
const KEYS: u64 = 100_000;

/// Between two looks at what Redis knows of a key.
const LOOK_US: u64 = 1_000_000;

static PENALTY: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("penalty.lua")));

/// What this gateway knows of failures, by key.
pub(super) struct Records {
    rule: Rule,
    /// What the keys in Redis begin with.
    prefix: String,
    entries: Cache<Vec<u8>, Arc<Entry>>,
}

/// One key's record, and who is trying now.
#[derive(Default)]
pub(super) struct Entry {
    record: Mutex<Record>,
    trying: AtomicU32,
    /// Until then nobody asks Redis only to look.
    looked_until: AtomicU64,
}

/// A try that is under way: it ends with its request.
pub(super) struct Trying(Arc<Entry>);

impl Trying {
    /// For a try that [`Entry::begin`] let through.
    pub(super) fn new(entry: &Arc<Entry>) -> Self {
        Self(Arc::clone(entry))
    }
}

impl Drop for Trying {
    fn drop(&mut self) {
        self.0.trying.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Records {
    pub(super) fn new(rule: Rule, prefix: String) -> Self {
        Self {
            rule,
            prefix,
            entries: Cache::builder()
                .max_capacity(KEYS)
                .eviction_policy(EvictionPolicy::lru())
                // By then a wait has ended and its level is forgotten.
                .time_to_idle(Duration::from_micros(rule.to_us + rule.window_us))
                .build(),
        }
    }

    pub(super) fn rule(&self) -> &Rule {
        &self.rule
    }

    pub(super) fn entry(&self, key: &[u8]) -> Arc<Entry> {
        self.entries.get_with_by_ref(key, Arc::default)
    }

    /// Tells Redis, and takes over what it knows. Without an answer all stays as it is.
    pub(super) async fn exchange(
        &self,
        line: &Arc<Line>,
        key: &[u8],
        entry: &Entry,
        what: &str,
        clock: &dyn Clock,
    ) {
        let rule = &self.rule;
        let mut name = self.prefix.clone().into_bytes();
        name.extend_from_slice(key);
        let mut question = PENALTY.key(name);
        question.arg(what).arg(rule.count).arg(rule.window_us);
        question.arg(rule.from_us).arg(rule.to_us);
        let answer: Option<Vec<i64>> = line.ask(&question).await;
        if let Some(answer) = answer
            && !entry.learn(rule, &answer, now_us(clock))
        {
            line.nonsense();
        }
    }
}

impl Entry {
    /// Lets a try begin, or says how long to wait. One that may is counted as trying.
    pub(super) fn begin(&self, rule: &Rule, now: u64) -> Result<(), Duration> {
        let mut record = self.record();
        rule.may(&mut record, self.trying.load(Ordering::Acquire), now)?;
        // Under the lock: nobody else has counted meanwhile.
        self.trying.fetch_add(1, Ordering::AcqRel);
        Ok(())
    }

    pub(super) fn fail(&self, rule: &Rule, now: u64) -> bool {
        rule.fail(&mut self.record(), now)
    }

    pub(super) fn succeed(&self, rule: &Rule, now: u64) -> bool {
        rule.succeed(&mut self.record(), now)
    }

    /// Whether nobody has looked at what Redis knows for a second; then the asker does.
    pub(super) fn wants_to_know(&self, now: u64) -> bool {
        let again = self.looked_until.load(Ordering::Relaxed) <= now;
        if again {
            self.looked_until.store(now + LOOK_US, Ordering::Relaxed);
        }
        again
    }

    /// Takes over what Redis knows; `false` when that makes no sense.
    fn learn(&self, rule: &Rule, answer: &[i64], now: u64) -> bool {
        let [level, wait, pardoned, failures @ ..] = answer else {
            return false;
        };
        let (Ok(level), Ok(wait)) = (u32::try_from(*level), u64::try_from(*wait)) else {
            return false;
        };
        if wait > rule.to_us || failures.len() > rule.count as usize {
            return false;
        }
        let since = |us: &i64| now.saturating_sub(u64::try_from(*us).unwrap_or(0)).max(1);
        let theirs = Record {
            failures: failures.iter().map(since).collect(),
            level,
            until: if wait == 0 { 0 } else { now + wait },
            pardoned: if *pardoned < 0 { 0 } else { since(pardoned) },
        };
        let mut ours = self.record();
        // A pardon of elsewhere counts; a Redis that has forgotten does not.
        let last = ours.failures.back().copied().unwrap_or(0);
        if theirs.pardoned > last.max(ours.pardoned) && ours.until <= now {
            *ours = theirs;
            return true;
        }
        if theirs.failures.len() >= ours.failures.len() {
            ours.failures = theirs.failures;
        }
        ours.level = ours.level.max(theirs.level);
        ours.until = ours.until.max(theirs.until);
        true
    }

    fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) fn now_us(clock: &dyn Clock) -> u64 {
    u64::try_from(clock.monotonic().as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: Rule = Rule {
        count: 3,
        window_us: 900,
        from_us: 30,
        to_us: 100,
    };

    fn failed(times: &[u64]) -> Entry {
        let entry = Entry::default();
        for at in times {
            entry.fail(&RULE, *at);
        }
        entry
    }

    #[test]
    fn what_others_know_is_taken_over() {
        let entry = failed(&[1_000]);
        assert!(entry.learn(&RULE, &[0, 0, -1, 20, 10], 1_010));
        assert_eq!(entry.record().failures, [990, 1_000]);
        assert!(entry.learn(&RULE, &[1, 25, -1, 20, 10, 5], 1_010));
        assert_eq!(entry.begin(&RULE, 1_034), Err(Duration::from_micros(1)));
        assert!(entry.begin(&RULE, 1_035).is_ok());
        assert!(
            entry.fail(&RULE, 1_035),
            "the next failure doubles the wait"
        );
        assert_eq!(entry.record().until, 1_035 + 60);
    }

    #[test]
    fn a_pardon_of_elsewhere_counts_and_a_loss_does_not() {
        let entry = failed(&[1_000, 1_005]);
        assert!(entry.learn(&RULE, &[0, 0, -1], 1_010));
        assert_eq!(entry.record().failures.len(), 2, "Redis has forgotten");
        assert!(entry.learn(&RULE, &[0, 0, 20], 1_010));
        assert_eq!(entry.record().failures.len(), 2, "they failed after it");
        assert!(entry.learn(&RULE, &[0, 0, 3], 1_010));
        assert_eq!(entry.record().failures.len(), 0);
    }

    #[test]
    fn an_answer_without_sense_changes_nothing() {
        let entry = failed(&[1_000]);
        let before = entry.record().clone();
        for answer in [
            &[][..],
            &[0, 0],
            &[-1, 0, -1],
            &[0, 101, -1],
            &[0, -5, -1],
            &[0, 0, -1, 1, 2, 3, 4],
        ] {
            assert!(!entry.learn(&RULE, answer, 1_010), "{answer:?}");
        }
        assert_eq!(*entry.record(), before);
    }
}
