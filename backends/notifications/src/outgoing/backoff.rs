//! How long to wait before the next try.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    time::Duration,
};

use uuid::Uuid;

const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(60 * 60);

/// The pause after the `attempts`-th try: doubling from a second up to an hour, and up to half as
/// much again by `jitter` (0 to 1), so that what failed together does not come back together.
pub(super) fn pause(attempts: i32, jitter: f64) -> Duration {
    let doublings = u32::try_from(attempts.saturating_sub(1)).unwrap_or(0);
    let pause = FIRST
        .saturating_mul(2_u32.saturating_pow(doublings))
        .min(LONGEST);
    pause + pause.mul_f64(jitter / 2.0)
}

/// A number from 0 to 1 that differs between messages and tries: nothing more random is needed.
pub(super) fn jitter(id: Uuid, attempts: i32) -> f64 {
    let mut hasher = DefaultHasher::new();
    (id, attempts).hash(&mut hasher);
    let steps = u32::try_from(hasher.finish() % 1001).expect("at most 1000");
    f64::from(steps) / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_an_hour() {
        for (attempts, secs) in [
            (0, 1),
            (1, 1),
            (2, 2),
            (5, 16),
            (12, 2048),
            (13, 3600),
            (i32::MAX, 3600),
        ] {
            assert_eq!(pause(attempts, 0.0).as_secs(), secs, "after {attempts}");
        }
        assert_eq!(pause(2, 1.0), Duration::from_secs(3));
    }

    #[test]
    fn messages_do_not_come_back_together() {
        let jitters = (0..20).map(|n| jitter(Uuid::from_u128(n), 1));
        assert!(jitters.clone().all(|jitter| (0.0..=1.0).contains(&jitter)));
        let (low, high) = jitters.fold((1.0_f64, 0.0_f64), |(low, high), j| {
            (low.min(j), high.max(j))
        });
        assert!(high - low > 0.5, "they lie between {low} and {high}");
    }
}
