use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use plugin_sdk::BuildError;

use super::Config;

/// A strict limit remembers each admitted call, so its count is bounded.
const MAX_STRICT: u32 = 1_000;

/// No window is longer: what is counted is kept in memory.
const MAX_WINDOW: Duration = Duration::from_secs(24 * 3_600);

/// What a limit allows. Times are in microseconds of the monotonic clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    /// At most `count` calls in any stretch of `window_us`.
    Window { count: u32, window_us: u64 },
    /// A bucket of `burst` calls that gets one back each `interval_us` (GCRA).
    Bucket { burst: u32, interval_us: u64 },
}

/// What a key has used up.
#[derive(Debug)]
pub(super) enum Tally {
    /// When each of the last calls was admitted, oldest first.
    Window(Mutex<VecDeque<u64>>),
    /// When the bucket will be full: GCRA's theoretical arrival time.
    Bucket(AtomicU64),
}

/// Whether a call passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) admitted: bool,
    /// How many more would pass now.
    pub(super) left: u32,
    /// Until one passes again, when refused; until calls come back, when admitted.
    pub(super) wait: Duration,
}

impl Rule {
    pub(super) fn build(config: &Config) -> Result<Self, BuildError> {
        let count = config.rate.count.get();
        let window = config.rate.window.0;
        if window.is_zero() || window > MAX_WINDOW {
            return Err(BuildError::new(
                "rate",
                "the time is longer than a day, or none at all",
            ));
        }
        let window_us = u64::try_from(window.as_micros()).unwrap_or(u64::MAX);
        let Some(burst) = config.burst else {
            if count > MAX_STRICT {
                return Err(BuildError::new(
                    "rate",
                    format!("counts strictly, which goes up to {MAX_STRICT}"),
                )
                .hint("say how many may come at once: `burst: …`"));
            }
            return Ok(Self::Window { count, window_us });
        };
        let interval_us = window_us / u64::from(count);
        if interval_us == 0 {
            return Err(BuildError::new("rate", "more than a million a second"));
        }
        let burst = burst.get();
        if interval_us.saturating_mul(burst.into()) > MAX_WINDOW.as_micros() as u64 {
            return Err(BuildError::new(
                "burst",
                "takes longer than a day to come back",
            ));
        }
        Ok(Self::Bucket { burst, interval_us })
    }

    /// The most that can pass at once.
    pub(super) fn quota(&self) -> u32 {
        match *self {
            Self::Window { count, .. } => count,
            Self::Bucket { burst, .. } => burst,
        }
    }

    /// In how long all of it comes back.
    pub(super) fn quota_in(&self) -> Duration {
        Duration::from_micros(match *self {
            Self::Window { window_us, .. } => window_us,
            Self::Bucket { burst, interval_us } => u64::from(burst) * interval_us,
        })
    }

    /// The same in whole seconds, at least one.
    pub(super) fn quota_s(&self) -> u64 {
        super::seconds(self.quota_in())
    }

    pub(super) fn tally(&self) -> Tally {
        match self {
            Self::Window { .. } => Tally::Window(Mutex::default()),
            Self::Bucket { .. } => Tally::Bucket(AtomicU64::new(0)),
        }
    }

    /// Judges a call and counts it if it passes. A refused call costs the caller nothing.
    pub(super) fn hit(&self, tally: &Tally, now: u64) -> Verdict {
        match (*self, tally) {
            (Self::Window { count, window_us }, Tally::Window(calls)) => {
                let mut calls = calls.lock().unwrap_or_else(PoisonError::into_inner);
                slide(&mut calls, count, window_us, now)
            }
            (Self::Bucket { burst, interval_us }, Tally::Bucket(full_at)) => {
                pour(full_at, burst, interval_us, now)
            }
            // A tally is made by its rule; counters of another rule have another name.
            _ => Verdict {
                admitted: false,
                left: 0,
                wait: self.quota_in(),
            },
        }
    }
}

fn slide(calls: &mut VecDeque<u64>, count: u32, window_us: u64, now: u64) -> Verdict {
    while calls.front().is_some_and(|at| at + window_us <= now) {
        calls.pop_front();
    }
    let admitted = calls.len() < count as usize;
    if admitted {
        calls.push_back(now);
    }
    let oldest = calls.front().copied().unwrap_or(now);
    Verdict {
        admitted,
        left: count.saturating_sub(u32::try_from(calls.len()).unwrap_or(u32::MAX)),
        wait: Duration::from_micros((oldest + window_us).saturating_sub(now)),
    }
}

/// The generic cell rate algorithm on one number: a call moves the time at which the bucket will
/// be full by one interval, and none may move it past a whole bucket from now.
fn pour(full_at: &AtomicU64, burst: u32, interval_us: u64, now: u64) -> Verdict {
    let whole = interval_us * u64::from(burst);
    let mut known = full_at.load(Ordering::Relaxed);
    loop {
        let next = known.max(now) + interval_us;
        let used = next - now;
        if used > whole {
            return Verdict {
                admitted: false,
                left: 0,
                wait: Duration::from_micros(used - whole),
            };
        }
        match full_at.compare_exchange_weak(known, next, Ordering::AcqRel, Ordering::Relaxed) {
            Ok(_) => {
                return Verdict {
                    admitted: true,
                    left: u32::try_from((whole - used) / interval_us).unwrap_or(u32::MAX),
                    wait: Duration::from_micros(used),
                };
            }
            Err(newer) => known = newer,
        }
    }
}
