use std::sync::Arc;

use moka::policy::EvictionPolicy;
use moka::sync::Cache;

use super::KEYS;
use super::rule::{Rule, Tally, Verdict};

/// What this gateway has counted, by key.
pub(super) struct Counters {
    rule: Rule,
    tallies: Cache<Vec<u8>, Arc<Tally>>,
}

impl Counters {
    pub(super) fn new(rule: Rule) -> Self {
        Self {
            rule,
            tallies: cache(rule),
        }
    }

    /// Judges a call and counts it if it passes.
    pub(super) fn hit(&self, key: &[u8], now: u64) -> Verdict {
        let tally = self
            .tallies
            .get_with_by_ref(key, || Arc::new(self.rule.tally()));
        self.rule.hit(&tally, now)
    }
}

/// Something for each of the keys seen lately.
pub(super) fn cache<T: Send + Sync + 'static>(rule: Rule) -> Cache<Vec<u8>, Arc<T>> {
    Cache::builder()
        .max_capacity(KEYS)
        // By frequency, a crowd of known keys would keep a new one from being counted at all.
        .eviction_policy(EvictionPolicy::lru())
        // A key that rested this long has its whole quota back: nothing is forgotten.
        .time_to_idle(rule.quota_in())
        .build()
}
