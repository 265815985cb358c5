//! What is not served when there is too much: the least important first.
//!
//! Two signals: how many requests are being answered, and how late this process's own timers are.
//! From 70 % of `in_flight` on, or at the `lag` that the table says, routes of low priority are
//! refused; from 85 %, or twice the lag, normal ones; at `in_flight` itself, or four times the lag,
//! all. What is refused once is let in again when the signal is a fifth below where it began.
//!
//! A refusal costs next to nothing: it is given before anybody is asked who they are. An open
//! WebSocket is not being answered, and does not count.

use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use http::{HeaderValue, StatusCode, header};
use plugin_sdk::Reply;

use crate::metrics::Metrics;
use crate::plan::{Bounds, Priority};

/// Between two looks at how late timers are.
const LOOK: Duration = Duration::from_millis(20);
/// The clock of timers goes in such steps: so late they are at rest.
const STEP: Duration = Duration::from_millis(2);
/// Only what so many looks in a row saw is lag: a single hiccup is none.
const LOOKS: usize = 3;

/// How much is refused; an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Nothing.
    Calm,
    /// Routes of low priority.
    Low,
    /// Normal ones too.
    Normal,
    /// All.
    All,
}

/// What there is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Load {
    /// Requests that are being answered.
    pub in_flight: usize,
    /// How late timers are.
    pub lag: Duration,
}

impl Level {
    const RISING: [Self; 3] = [Self::Low, Self::Normal, Self::All];

    /// Where it begins: in percent of `in_flight`, and in multiples of `lag`.
    fn begins(self) -> (usize, u32) {
        match self {
            Self::Calm => (0, 0),
            Self::Low => (70, 1),
            Self::Normal => (85, 2),
            Self::All => (100, 4),
        }
    }

    /// What follows from a load, after what was before.
    pub fn of(bounds: &Bounds, load: Load, before: Self) -> Self {
        let reached = |level: &Self| {
            let (percent, times) = level.begins();
            // In thousandths: what has begun ends a fifth below.
            let share = if *level <= before { 800 } else { 1_000 };
            let full = bounds.in_flight.saturating_mul(percent * share);
            let crowded = load.in_flight.saturating_mul(100_000) >= full;
            let late = bounds
                .lag
                .is_some_and(|lag| load.lag * 1_000 >= lag * times * share as u32);
            crowded || late
        };
        let levels = Self::RISING.into_iter();
        levels.filter(reached).max().unwrap_or(Self::Calm)
    }

    /// Whether routes of that priority are refused.
    pub fn refuses(self, priority: Priority) -> bool {
        self >= match priority {
            Priority::Low => Self::Low,
            Priority::Normal => Self::Normal,
            Priority::Critical => Self::All,
        }
    }

    fn from_number(number: u8) -> Self {
        match number {
            0 => Self::Calm,
            1 => Self::Low,
            2 => Self::Normal,
            _ => Self::All,
        }
    }
}

/// How busy an edge is.
#[derive(Debug, Default)]
pub struct Overload {
    in_flight: AtomicUsize,
    lag_us: AtomicU64,
    level: AtomicU8,
}

impl Overload {
    /// One that looks at the timers of the runtime that it is called on, as long as it is held.
    pub fn watched(metrics: Arc<Metrics>) -> Arc<Self> {
        let overload = Arc::new(Self::default());
        tokio::spawn(watch(Arc::downgrade(&overload), metrics));
        overload
    }

    /// A request came.
    pub fn enter(&self) {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
    }

    /// A request has ended, or became a WebSocket.
    pub fn leave(&self) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
    }

    /// Judges a request that has come, by how important its route is; `Some` is the refusal.
    pub fn judge(
        &self,
        bounds: &Bounds,
        priority: Priority,
        metrics: &Metrics,
    ) -> Option<Box<Reply>> {
        let load = Load {
            // Less the one that asks.
            in_flight: self.in_flight.load(Ordering::Relaxed).saturating_sub(1),
            lag: Duration::from_micros(self.lag_us.load(Ordering::Relaxed)),
        };
        let before = Level::from_number(self.level.load(Ordering::Relaxed));
        let level = Level::of(bounds, load, before);
        if level != before {
            self.level.store(level as u8, Ordering::Relaxed);
            metrics.overload_level.set(level as i64);
        }
        level.refuses(priority).then(|| {
            metrics.shed.with_label_values(&[priority.name()]).inc();
            Box::new(refusal(load.in_flight))
        })
    }
}

/// Not all shall come again in the same second.
fn refusal(turn: usize) -> Reply {
    let seconds = ["1", "2", "3"][turn % 3];
    let reply = Reply::problem(
        StatusCode::SERVICE_UNAVAILABLE,
        "overloaded",
        "There is too much to do at the moment",
    );
    reply.header(header::RETRY_AFTER, HeaderValue::from_static(seconds))
}

async fn watch(overload: Weak<Overload>, metrics: Arc<Metrics>) {
    let mut last = [Duration::ZERO; LOOKS];
    for turn in (0..LOOKS).cycle() {
        let start = Instant::now();
        tokio::time::sleep(LOOK).await;
        let Some(overload) = overload.upgrade() else {
            return;
        };
        last[turn] = start.elapsed().saturating_sub(LOOK + STEP);
        let lag = last.iter().min().copied().unwrap_or_default();
        let us = u64::try_from(lag.as_micros()).unwrap_or(u64::MAX);
        overload.lag_us.store(us, Ordering::Relaxed);
        metrics.timer_lag.set(lag.as_secs_f64());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bounds(in_flight: usize, lag_ms: Option<u64>) -> Bounds {
        Bounds {
            in_flight,
            lag: lag_ms.map(Duration::from_millis),
        }
    }

    fn level(in_flight: usize, lag_ms: u64, before: Level) -> Level {
        let load = Load {
            in_flight,
            lag: Duration::from_millis(lag_ms),
        };
        Level::of(&bounds(100, Some(50)), load, before)
    }

    #[test]
    fn the_least_important_goes_first() {
        for (in_flight, lag_ms, expected) in [
            (0, 0, Level::Calm),
            (69, 49, Level::Calm),
            (70, 0, Level::Low),
            (84, 0, Level::Low),
            (85, 0, Level::Normal),
            (99, 0, Level::Normal),
            (100, 0, Level::All),
            (1_000_000, 0, Level::All),
            (0, 50, Level::Low),
            (0, 100, Level::Normal),
            (0, 200, Level::All),
            (0, 60_000, Level::All),
            (90, 60, Level::Normal),
        ] {
            let got = level(in_flight, lag_ms, Level::Calm);
            assert_eq!(got, expected, "{in_flight} in flight, {lag_ms} ms late");
        }
        for (level, refused) in [
            (Level::Calm, [false, false, false]),
            (Level::Low, [true, false, false]),
            (Level::Normal, [true, true, false]),
            (Level::All, [true, true, true]),
        ] {
            let classes = [Priority::Low, Priority::Normal, Priority::Critical];
            assert_eq!(classes.map(|class| level.refuses(class)), refused);
        }
    }

    #[test]
    fn what_began_ends_a_fifth_below() {
        for (in_flight, before, expected) in [
            (56, Level::Low, Level::Low),
            (55, Level::Low, Level::Calm),
            (68, Level::Normal, Level::Normal),
            (67, Level::Normal, Level::Low),
            (80, Level::All, Level::All),
            (79, Level::All, Level::Normal),
            (0, Level::All, Level::Calm),
        ] {
            assert_eq!(level(in_flight, 0, before), expected, "{in_flight}");
        }
    }

    #[test]
    fn without_a_bound_on_lag_none_counts() {
        let load = Load {
            in_flight: 0,
            lag: Duration::from_secs(60),
        };
        assert_eq!(Level::of(&bounds(1, None), load, Level::All), Level::Calm);
    }

    #[test]
    fn the_only_request_is_always_served() {
        let (overload, metrics) = (Overload::default(), Metrics::new());
        overload.enter();
        let judged = overload.judge(&bounds(1, None), Priority::Low, &metrics);
        assert!(judged.is_none());
        overload.enter();
        let judged = overload.judge(&bounds(1, None), Priority::Critical, &metrics);
        let reply = judged.expect("a refusal");
        assert_eq!((reply.status.as_u16(), reply.code()), (503, "overloaded"));
        let text = metrics.render();
        assert!(
            text.contains("gateway_shed_total{priority=\"critical\"} 1"),
            "{text}"
        );
        assert!(text.contains("gateway_overload_level 3"), "{text}");
    }
}
