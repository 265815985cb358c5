use std::collections::VecDeque;
use std::time::Duration;

use plugin_sdk::BuildError;

use super::Config;

/// Of each failure is remembered when it was.
const MAX_FAILURES: u32 = 100;
/// No wait, and no window, is longer.
const DAY: Duration = Duration::from_secs(86_400);
/// When all the tries that are left are under way.
const BUSY: Duration = Duration::from_secs(1);

/// What failures come to. Times are in microseconds of the monotonic clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) count: u32,
    pub(super) window_us: u64,
    pub(super) from_us: u64,
    pub(super) to_us: u64,
}

/// What is known of one key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Record {
    /// When the last failures were, oldest first.
    pub(super) failures: VecDeque<u64>,
    /// How many waits there have been.
    pub(super) level: u32,
    /// Until then nothing is to be had.
    pub(super) until: u64,
    /// When a success last cleared the failures; nought: never.
    pub(super) pardoned: u64,
}

impl Rule {
    pub(super) fn build(config: &Config) -> Result<Self, BuildError> {
        let count = config.failures.count.get();
        let (window, from, to) = (
            config.failures.window.0,
            config.penalty.from.0,
            config.penalty.to.0,
        );
        if count > MAX_FAILURES {
            let fault = format!("lets more than {MAX_FAILURES} failures pass");
            return Err(BuildError::new("failures", fault));
        }
        if window.is_zero() || window > DAY {
            let fault = "the time is longer than a day, or none at all";
            return Err(BuildError::new("failures", fault));
        }
        if from.is_zero() || from > to {
            let fault = "is none at all, or longer than the longest";
            return Err(BuildError::new("penalty.from", fault));
        }
        if to > DAY {
            return Err(BuildError::new("penalty.to", "is longer than a day"));
        }
        let us = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        Ok(Self {
            count,
            window_us: us(window),
            from_us: us(from),
            to_us: us(to),
        })
    }

    /// Whether one more may try, with `trying` others under way; else how long to wait.
    pub(super) fn may(&self, record: &mut Record, trying: u32, now: u64) -> Result<(), Duration> {
        self.forget(record, now);
        if now < record.until {
            return Err(Duration::from_micros(record.until - now));
        }
        let failures = u32::try_from(record.failures.len()).unwrap_or(u32::MAX);
        let left = match record.level {
            0 => self.count.saturating_sub(failures).max(1),
            _ => 1,
        };
        if trying < left { Ok(()) } else { Err(BUSY) }
    }

    /// Takes a failure down; tells whether a wait begins.
    pub(super) fn fail(&self, record: &mut Record, now: u64) -> bool {
        self.forget(record, now);
        if now < record.until {
            // It was under way when the wait began.
            return false;
        }
        if record.failures.len() >= self.count as usize {
            record.failures.pop_front();
        }
        record.failures.push_back(now);
        if record.level == 0 && record.failures.len() < self.count as usize {
            return false;
        }
        let doubled = self.from_us.saturating_mul(1 << record.level.min(40));
        record.until = now + doubled.min(self.to_us);
        record.level = record.level.saturating_add(1);
        true
    }

    /// Takes a success down; tells whether it clears the failures.
    pub(super) fn succeed(&self, record: &mut Record, now: u64) -> bool {
        let lately = record.pardoned != 0 && now < record.pardoned + self.window_us;
        let clean = record.failures.is_empty() && record.level == 0;
        if lately || clean || now < record.until {
            return false;
        }
        *record = Record {
            pardoned: now.max(1),
            ..Record::default()
        };
        true
    }

    fn forget(&self, record: &mut Record, now: u64) {
        let past = |at: &u64| at + self.window_us <= now;
        while record.failures.front().is_some_and(past) {
            record.failures.pop_front();
        }
        if record.level > 0 && now >= record.until + self.window_us {
            record.level = 0;
        }
    }
}
