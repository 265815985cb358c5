use std::borrow::Cow;
use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use plugin_sdk::{BuildError, Period};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;

/// A strict limit remembers each admitted call, so its count is bounded.
const MAX_STRICT: u32 = 1_000;

/// No window is longer: what is counted is kept in memory.
const MAX_WINDOW: Duration = Duration::from_secs(24 * 3_600);

const DAY_US: u64 = 86_400 * 1_000_000;
/// Weeks begin on Mondays, and 1970 began on a Thursday.
const MONDAY_US: u64 = 4 * DAY_US;

/// How many in how long, as `5/1m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Rate {
    /// How many.
    pub count: NonZeroU32,
    /// In how long.
    pub window: Period,
}

impl TryFrom<String> for Rate {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let parsed = text.split_once('/').and_then(|(count, window)| {
            Some(Self {
                count: count.parse().ok()?,
                window: window.parse().ok()?,
            })
        });
        parsed.ok_or_else(|| {
            format!("`{text}` is no rate: expected a count and a time, such as `5/1m`")
        })
    }
}

impl JsonSchema for Rate {
    fn schema_name() -> Cow<'static, str> {
        "Rate".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^[1-9][0-9]*/[0-9]+(ms|s|m|h|d)$",
            "description": "How many in how long, as `5/1m`.",
        })
    }
}

/// What a limit allows. Times are in microseconds: of the calendar for [`Rule::Calendar`], else of
/// the monotonic clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rule {
    /// At most `count` calls in any stretch of `window_us`.
    Window { count: u32, window_us: u64 },
    /// A bucket of `burst` calls that gets one back each `interval_us` (GCRA).
    Bucket { burst: u32, interval_us: u64 },
    /// `count` calls from each turn of the calendar to the next: full hours and days of UTC, weeks
    /// from Monday.
    Calendar {
        count: u32,
        length_us: u64,
        offset_us: u64,
    },
}

/// What a key has used up.
#[derive(Debug)]
pub(super) enum Tally {
    /// When each of the last calls was admitted, oldest first.
    Window(Mutex<VecDeque<u64>>),
    /// When the bucket will be full: GCRA's theoretical arrival time.
    Bucket(AtomicU64),
    /// Which stretch of the calendar, and how many in it.
    Calendar(Mutex<(u64, u32)>),
}

/// Whether a call passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) admitted: bool,
    /// How many more would pass now.
    pub(crate) left: u32,
    /// Until one passes again, when refused; until calls come back, when admitted.
    pub(crate) wait: Duration,
}

impl Rule {
    /// A rate, with or without a burst.
    pub(crate) fn rate(rate: Rate, burst: Option<NonZeroU32>) -> Result<Self, BuildError> {
        let count = rate.count.get();
        let window = rate.window.0;
        if window.is_zero() || window > MAX_WINDOW {
            return Err(BuildError::new(
                "rate",
                "the time is longer than a day, or none at all",
            ));
        }
        let window_us = u64::try_from(window.as_micros()).unwrap_or(u64::MAX);
        let Some(burst) = burst else {
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

    /// A quota, from one turn of the calendar to the next.
    pub(crate) fn calendar(quota: Rate) -> Result<Self, BuildError> {
        let length_us = u64::try_from(quota.window.0.as_micros()).unwrap_or(u64::MAX);
        let offset_us = match length_us {
            week if week == 7 * DAY_US => MONDAY_US,
            part if part >= 60_000_000 && DAY_US.is_multiple_of(part) => 0,
            _ => {
                let fault = "goes by the calendar, and no such stretch of it begins every day";
                return Err(BuildError::new("quota", fault)
                    .hint("say `1h`, `6h`, `12h`, `1d`, or `7d` from Monday on"));
            }
        };
        Ok(Self::Calendar {
            count: quota.count.get(),
            length_us,
            offset_us,
        })
    }

    /// The most that can pass at once.
    pub(crate) fn quota(&self) -> u32 {
        match *self {
            Self::Window { count, .. } | Self::Calendar { count, .. } => count,
            Self::Bucket { burst, .. } => burst,
        }
    }

    /// In how long all of it comes back.
    pub(crate) fn quota_in(&self) -> Duration {
        Duration::from_micros(match *self {
            Self::Window { window_us, .. } => window_us,
            Self::Bucket { burst, interval_us } => u64::from(burst) * interval_us,
            Self::Calendar { length_us, .. } => length_us,
        })
    }

    /// The same in whole seconds, at least one.
    pub(crate) fn quota_s(&self) -> u64 {
        super::seconds(self.quota_in())
    }

    /// What the keys of such a limit in Redis begin with. What another rule has written there
    /// would be misread; only how much a quota is may change under what is used up of it.
    pub(super) fn prefix(&self, kind: &str, name: &str) -> String {
        let rule = match *self {
            Self::Window { count, window_us } => format!("window:{count}:{window_us}"),
            Self::Bucket { burst, interval_us } => format!("bucket:{burst}:{interval_us}"),
            Self::Calendar { length_us, .. } => format!("calendar:{length_us}"),
        };
        format!("vorota:{kind}:{name}:{rule}:")
    }

    pub(super) fn tally(&self) -> Tally {
        match self {
            Self::Window { .. } => Tally::Window(Mutex::default()),
            Self::Bucket { .. } => Tally::Bucket(AtomicU64::new(0)),
            Self::Calendar { .. } => Tally::Calendar(Mutex::default()),
        }
    }

    /// What a tally takes at most, in bytes, with its key and its place in the cache.
    pub(super) fn weight(&self) -> u64 {
        match self {
            // A queue that grows takes up to twice what is in it.
            Self::Window { count, .. } => 512 + 16 * u64::from(*count),
            _ => 512,
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
            (
                Self::Calendar {
                    count,
                    length_us,
                    offset_us,
                },
                Tally::Calendar(used),
            ) => {
                let since = now.saturating_sub(offset_us);
                let mut used = used.lock().unwrap_or_else(PoisonError::into_inner);
                tick(
                    &mut used,
                    count,
                    since / length_us,
                    length_us - since % length_us,
                )
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

/// A clock that was set back does not begin a stretch anew.
fn tick(used: &mut (u64, u32), count: u32, stretch: u64, ends_in_us: u64) -> Verdict {
    if stretch > used.0 {
        *used = (stretch, 0);
    }
    let admitted = used.1 < count;
    used.1 += u32::from(admitted);
    Verdict {
        admitted,
        left: count - used.1,
        wait: Duration::from_micros(ends_in_us),
    }
}
