//! More sign-ins than passwords can be worked on, and what the others feel of it.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use crate::users::client::{Answer, Client};
use crate::users::load::{Hand, Looking};

/// Sign-ins that are offered a second: twice what two processors can do.
const OFFERED: u32 = 150;
/// Looks at a profile a second, by somebody who has nothing to do with it.
const LOOKS: u32 = 100;

/// What became of the sign-ins.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    pub(super) offered: u32,
    pub(super) admitted: u32,
    /// 503 `overloaded`: the queue was full.
    pub(super) overloaded: u32,
    /// 429: somebody tried too often.
    pub(super) limited: u32,
    /// Neither let in nor refused as such; the first of them is told.
    pub(super) strange: u32,
}

impl Tally {
    fn count(&mut self, answer: &Answer) {
        self.offered += 1;
        if answer.status == 200 {
            self.admitted += 1;
        } else if answer.refuses(503, "overloaded") {
            self.overloaded += 1;
        } else if answer.refuses(429, "too_many_attempts") {
            self.limited += 1;
        } else {
            if self.strange == 0 {
                let Answer { status, body, .. } = answer;
                eprintln!("a sign-in of the flood was answered {status}: {body}");
            }
            self.strange += 1;
        }
    }

    pub(super) fn add(&mut self, other: Self) {
        self.offered += other.offered;
        self.admitted += other.admitted;
        self.overloaded += other.overloaded;
        self.limited += other.limited;
        self.strange += other.strange;
    }
}

/// Sends sign-ins at their time, as one person after the other, however long the answers take.
pub(super) async fn flood(people: Vec<Client>, lasts: Duration) -> anyhow::Result<Tally> {
    let mut ticks = paced(OFFERED);
    let begun = Instant::now();
    let mut under_way = JoinSet::new();
    let mut people = people.into_iter().cycle();
    let mut tally = Tally::default();
    while begun.elapsed() < lasts {
        ticks.tick().await;
        let person = people.next().context("nobody signs in")?;
        under_way.spawn(async move { person.sign_in().await });
        // Taken up as they come: what is left under way stays small.
        while let Some(answer) = under_way.try_join_next() {
            tally.count(&answer??);
        }
    }
    while let Some(answer) = under_way.join_next().await {
        tally.count(&answer??);
    }
    ensure!(tally.admitted > 0, "nobody came in: {tally:?}");
    ensure!(tally.overloaded > 0, "nobody was turned away: {tally:?}");
    Ok(tally)
}

/// The 99th percentile of how long a look takes, on a thread that does nothing else.
pub(super) fn p99(looking: Looking, lasts: Duration) -> anyhow::Result<Duration> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let mut took = runtime.block_on(looks(looking, lasts))?;
    took.sort_unstable();
    let at = took.len().saturating_sub(1) * 99 / 100;
    took.get(at).copied().context("nobody looked")
}

async fn looks(looking: Looking, lasts: Duration) -> anyhow::Result<Vec<Duration>> {
    let mut ticks = paced(LOOKS);
    let begun = Instant::now();
    let mut under_way = JoinSet::new();
    let mut took = Vec::new();
    while begun.elapsed() < lasts {
        ticks.tick().await;
        let mut looking = looking.clone();
        under_way.spawn(async move {
            let sent = Instant::now();
            looking.once().await?;
            Ok::<_, anyhow::Error>(sent.elapsed())
        });
        while let Some(one) = under_way.try_join_next() {
            took.push(one??);
        }
    }
    while let Some(one) = under_way.join_next().await {
        took.push(one??);
    }
    Ok(took)
}

fn paced(per_second: u32) -> tokio::time::Interval {
    let mut ticks = interval(Duration::from_secs(1) / per_second);
    // A late one is made up for: what is offered stays what it is said to be.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    ticks
}
