//! What was taken is not taken again.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use sha2::{Digest, Sha256};

/// Tells one signature from all others: half a SHA-256.
pub(super) type Id = [u8; 16];

/// Signatures that were taken, for as long as they could come again. Two sets take turns, so that
/// nothing has to be looked through to forget the old ones.
#[derive(Default)]
pub(super) struct Replays(Mutex<Sets>);

/// How long signatures are good, and how many are remembered, as the route table says it now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Terms {
    /// From `created` on, in seconds: the clocks may differ by some of it.
    pub(super) good_for_s: i64,
    /// Longer than any signature is good, whatever the clocks say.
    pub(super) window: Duration,
    pub(super) most: usize,
}

#[derive(Default)]
struct Sets {
    terms: Terms,
    /// What was created before this may have been taken and forgotten, in Unix seconds.
    forgotten: Option<i64>,
    since: Duration,
    new: HashSet<Id>,
    old: HashSet<Id>,
}

/// A moment, by both clocks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    pub(super) unix: i64,
    pub(super) monotonic: Duration,
}

/// What taking a signature came to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Taken {
    First,
    Again,
    /// It was too old before the table gave signatures a longer time: nobody knows any more
    /// whether it was taken.
    Forgotten,
    /// No room to remember it in, so it can't be let in.
    Full,
}

/// By the signer's nonce where there is one: that is used once, whatever else is signed with it.
pub(super) fn id(key_id: &str, nonce: Option<&str>, signature: &[u8]) -> Id {
    let mut digest = Sha256::new();
    digest.update((key_id.len() as u64).to_be_bytes());
    digest.update(key_id);
    match nonce {
        Some(nonce) => digest.update([&b"n"[..], nonce.as_bytes()].concat()),
        None => digest.update([&b"s"[..], signature].concat()),
    }
    let mut id = Id::default();
    id.copy_from_slice(&digest.finalize()[..16]);
    id
}

impl Replays {
    /// Takes a signature that was created at `created`, unless it was taken before.
    pub(super) fn take(&self, id: Id, created: i64, now: Moment, terms: Terms) -> Taken {
        let mut sets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sets.adopt(terms, now.unix);
        sets.turn(now.monotonic);
        if sets.new.contains(&id) || sets.old.contains(&id) {
            return Taken::Again;
        }
        if sets.forgotten.is_some_and(|before| created < before) {
            return Taken::Forgotten;
        }
        // A turn may come after half of them were taken: both sets together hold no more.
        if sets.new.len() >= terms.most.div_ceil(2) {
            return Taken::Full;
        }
        sets.new.insert(id);
        Taken::First
    }
}

impl Sets {
    /// The table may have been loaded anew. A longer time brings nothing back that was forgotten.
    fn adopt(&mut self, terms: Terms, unix: i64) {
        if terms.window > self.terms.window && self.terms != Terms::default() {
            let before = unix.saturating_sub(self.terms.good_for_s);
            self.forgotten = self.forgotten.max(Some(before));
        }
        self.terms = terms;
    }

    fn turn(&mut self, now: Duration) {
        let window = self.terms.window;
        let past = now.saturating_sub(self.since);
        if past < window {
            return;
        }
        self.old = std::mem::take(&mut self.new);
        if past >= 2 * window {
            self.old.clear();
        }
        self.since = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms(good_for_s: i64, most: usize) -> Terms {
        Terms {
            good_for_s,
            window: Duration::from_secs(good_for_s.unsigned_abs() + 2),
            most,
        }
    }

    fn at(seconds: u64) -> Moment {
        Moment {
            unix: 1_000 + i64::try_from(seconds).expect("small"),
            monotonic: Duration::from_secs(seconds),
        }
    }

    #[test]
    fn nothing_is_taken_twice_within_its_window_and_memory_is_bounded() {
        let replays = Replays::default();
        let take = |text: &[u8], seconds| {
            replays.take(id("k", None, text), 1_000, at(seconds), terms(8, 4))
        };
        assert_eq!(take(b"1", 9), Taken::First);
        for seconds in [9, 10, 18, 19] {
            assert_eq!(take(b"1", seconds), Taken::Again, "at {seconds}");
        }
        assert_eq!(take(b"1", 40), Taken::First, "by now it is too old anyway");
        assert_eq!(take(b"2", 40), Taken::First);
        assert_eq!(take(b"3", 40), Taken::Full);
        assert_eq!(take(b"1", 41), Taken::Again);
        assert_eq!(take(b"3", 50), Taken::First, "room again");
    }

    #[test]
    fn a_table_with_other_times_lets_nothing_in_again() {
        let replays = Replays::default();
        let take = |text: &[u8], created: i64, seconds, good_for_s| {
            let id = id("k", None, text);
            replays.take(id, 1_000 + created, at(seconds), terms(good_for_s, 9))
        };
        assert_eq!(take(b"1", 0, 0, 10), Taken::First);
        // Shorter, and longer again: what is still remembered, and what may not be any more.
        assert_eq!(take(b"1", 0, 3, 5), Taken::Again);
        assert_eq!(take(b"2", 25, 25, 5), Taken::First);
        assert_eq!(take(b"3", 30, 30, 5), Taken::First);
        assert_eq!(take(b"1", 0, 31, 60), Taken::Forgotten);
        assert_eq!(take(b"2", 25, 31, 60), Taken::Again);
        assert_eq!(take(b"3", 30, 31, 60), Taken::Again);
        assert_eq!(take(b"4", 30, 32, 60), Taken::First);
        assert_eq!(take(b"4", 30, 89, 60), Taken::Again);
    }

    #[test]
    fn a_nonce_is_its_keys_own() {
        assert_eq!(id("k", Some("n"), b"1"), id("k", Some("n"), b"2"));
        assert_ne!(id("k", Some("n"), b"1"), id("l", Some("n"), b"1"));
        assert_ne!(id("k", Some("n"), b"1"), id("k", None, b"1"));
        assert_ne!(id("k", None, b"1"), id("k", None, b"2"));
        assert_ne!(id("kn", Some("x"), b""), id("k", Some("nx"), b""));
    }
}
