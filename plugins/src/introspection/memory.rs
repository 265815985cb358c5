use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sha2::Digest as _;
use tokio::sync::watch;

use crate::jwt::{Fault, Good};

/// What remembered answers may take, in bytes: good ones some 8,000 of the usual size. Bad ones
/// apart, so that a flood of made-up tokens costs nobody's good one its place.
const GOOD_BYTES: u64 = 16 * 1024 * 1024;
const BAD_BYTES: u64 = 2 * 1024 * 1024;

/// What an answer takes besides its claims, in bytes; about.
const ENTRY_BYTES: usize = 1024;

/// More tokens than this are not asked about at once.
const MAX_FLIGHTS: usize = 1_000;

/// A token is remembered by its SHA-256: memory that leaks gives no token away.
pub(super) type Digest = [u8; 32];

pub(super) fn digest(token: &str) -> Digest {
    sha2::Sha256::digest(token).into()
}

/// What asking about a token comes to.
#[derive(Debug, Clone)]
pub(super) enum Outcome {
    Good(Good),
    Bad(Fault),
    /// The issuer could not be asked, or said nothing that makes sense.
    Away,
}

/// How long answers hold.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    pub(super) good: Duration,
    pub(super) bad: Duration,
    pub(super) stale: Duration,
    pub(super) within: Duration,
}

/// What memory has of a token.
#[derive(Debug)]
pub(super) enum Recalled {
    Fresh(Outcome),
    /// It was good, and should be asked about again.
    Stale(Outcome),
    Nothing,
}

/// What was answered, and what is being asked.
pub(super) struct Memory {
    times: Times,
    good: moka::sync::Cache<Digest, (Good, Duration)>,
    bad: moka::sync::Cache<Digest, (Fault, Duration)>,
    flights: Mutex<HashMap<Digest, watch::Receiver<Option<Outcome>>>>,
}

/// Who asks about a token.
pub(super) enum Boarding {
    /// Nobody yet: whoever got this.
    First(Flight),
    /// Somebody else: wait for them.
    Joined(watch::Receiver<Option<Outcome>>),
    /// Too much is being asked already.
    Full,
}

/// A question under way. Dropped without an answer, it frees its place and those who wait.
pub(super) struct Flight {
    digest: Digest,
    memory: Arc<Memory>,
    landing: watch::Sender<Option<Outcome>>,
}

impl Memory {
    pub(super) fn new(times: Times) -> Self {
        let entry = u32::try_from(ENTRY_BYTES).unwrap_or(u32::MAX);
        Self {
            times,
            good: moka::sync::Cache::builder()
                .weigher(move |_, (good, _): &(Good, _)| {
                    let claims =
                        serde_json::to_vec(&good.proof.claims).map_or(0, |json| json.len());
                    u32::try_from(claims * 3 + ENTRY_BYTES).unwrap_or(u32::MAX)
                })
                .max_capacity(GOOD_BYTES)
                .build(),
            bad: moka::sync::Cache::builder()
                .weigher(move |_, _| entry / 4)
                .max_capacity(BAD_BYTES)
                .build(),
            flights: Mutex::default(),
        }
    }

    /// What is known of a token, at a time of day in Unix seconds and a moment of the clock.
    pub(super) fn recall(&self, digest: &Digest, unix: i64, moment: Duration) -> Recalled {
        if let Some((good, since)) = self.good.get(digest) {
            let age = moment.saturating_sub(since);
            // Whatever we may remember, the token itself has an end.
            return match good {
                good if unix >= good.until => Recalled::Nothing,
                good if age < self.times.good => Recalled::Fresh(Outcome::Good(good)),
                good if age < self.times.good + self.times.stale => {
                    Recalled::Stale(Outcome::Good(good))
                }
                _ => Recalled::Nothing,
            };
        }
        match self.bad.get(digest) {
            Some((fault, since)) if moment.saturating_sub(since) < self.times.bad => {
                Recalled::Fresh(Outcome::Bad(fault))
            }
            _ => Recalled::Nothing,
        }
    }

    /// Takes a place on the way to the issuer.
    pub(super) fn board(self: &Arc<Self>, digest: Digest) -> Boarding {
        let mut flights = self.flights.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(landing) = flights.get(&digest) {
            return Boarding::Joined(landing.clone());
        }
        if flights.len() >= MAX_FLIGHTS {
            return Boarding::Full;
        }
        let (sender, landing) = watch::channel(None);
        flights.insert(digest, landing);
        Boarding::First(Flight {
            digest,
            memory: Arc::clone(self),
            landing: sender,
        })
    }
}

impl Flight {
    /// Where the answer is told.
    pub(super) fn landing(&self) -> watch::Receiver<Option<Outcome>> {
        self.landing.subscribe()
    }

    /// Tells the answer to all who wait, and remembers it. That somebody is away is not remembered,
    /// and takes nothing that is known along.
    pub(super) fn land(self, outcome: Outcome, moment: Duration) {
        let memory = &self.memory;
        match &outcome {
            Outcome::Good(good) => {
                memory.good.insert(self.digest, (good.clone(), moment));
            }
            Outcome::Bad(fault) => {
                memory.good.invalidate(&self.digest);
                memory.bad.insert(self.digest, (*fault, moment));
            }
            Outcome::Away => {}
        }
        self.landing.send_replace(Some(outcome));
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        let flights = &self.memory.flights;
        let mut flights = flights.lock().unwrap_or_else(PoisonError::into_inner);
        flights.remove(&self.digest);
    }
}
