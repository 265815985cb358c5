use std::sync::Arc;

use moka::policy::EvictionPolicy;
use moka::sync::Cache;

use super::rule::{Rule, Tally, Verdict};

/// Keys that a limit remembers, in each gateway: so many,
const KEYS: u64 = 100_000;
/// and fewer of a rule that remembers much of each, in bytes.
const BYTES: u64 = 256 << 20;

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
        .max_capacity(KEYS.min(BYTES / rule.weight()))
        // By frequency, a crowd of known keys would keep a new one from being counted at all.
        .eviction_policy(EvictionPolicy::lru())
        // A key that rested this long has its whole quota back: nothing is forgotten.
        .time_to_idle(rule.quota_in())
        .build()
}

#[cfg(test)]
mod tests {
    use plugin_sdk::Period;

    use super::*;
    use crate::meter::Rate;

    fn rule(rate: &str) -> Rule {
        let rate = Rate::try_from(rate.to_owned()).expect("a rate");
        Rule::rate(rate, None).expect("a rule")
    }

    /// Security case 32: more keys than are remembered take no more room, and the one that is seen
    /// all the time is not forgotten among them.
    #[test]
    fn gateway_32_a_crowd_of_keys_is_bounded() {
        let counters = Counters::new(rule("1000/1h"));
        let most = BYTES / rule("1000/1h").weight();
        assert!(most < KEYS, "{most}");
        let mut admitted = 0;
        for key in 0..most * 3 {
            counters.hit(&key.to_be_bytes(), 1);
            if key % 1_000 == 0 {
                admitted += u64::from(counters.hit(b"busy", 1).admitted);
            }
        }
        counters.tallies.run_pending_tasks();
        assert!(counters.tallies.entry_count() <= most);
        assert_eq!(
            counters.hit(b"busy", 1).left,
            999 - u32::try_from(admitted).expect("few")
        );
        assert_eq!(Period(rule("5/1m").quota_in()).to_string(), "1m");
    }
}
