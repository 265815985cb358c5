use std::sync::Arc;

use super::KEYS;
use super::rule::{Rule, Tally, Verdict};

/// What this gateway has counted, by key.
pub(super) struct Counters {
    rule: Rule,
    tallies: moka::sync::Cache<Vec<u8>, Arc<Tally>>,
}

impl Counters {
    pub(super) fn new(rule: Rule) -> Self {
        let tallies = moka::sync::Cache::builder()
            .max_capacity(KEYS)
            // A key that rested this long has its whole quota back: nothing is forgotten.
            .time_to_idle(rule.quota_in())
            .build();
        Self { rule, tallies }
    }

    /// Judges a call and counts it if it passes.
    pub(super) fn hit(&self, key: &[u8], now: u64) -> Verdict {
        let tally = self
            .tallies
            .get_with_by_ref(key, || Arc::new(self.rule.tally()));
        self.rule.hit(&tally, now)
    }
}
