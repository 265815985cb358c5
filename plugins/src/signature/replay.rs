//! What was taken is not taken again.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use sha2::{Digest, Sha256};

/// Tells one signature from all others: half a SHA-256.
pub(super) type Id = [u8; 16];

/// Signatures that were taken, for as long as they could come again. Two sets take turns, so that
/// nothing has to be looked through to forget the old ones.
pub(super) struct Replays {
    window: Duration,
    most: usize,
    sets: Mutex<Sets>,
}

#[derive(Default)]
struct Sets {
    since: Duration,
    new: HashSet<Id>,
    old: HashSet<Id>,
}

/// What taking a signature came to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Taken {
    First,
    Again,
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
    /// Remembers up to `most` for at least `window` each.
    pub(super) fn new(window: Duration, most: usize) -> Self {
        Self {
            window,
            // A turn may come after half of them were taken: both sets together hold no more.
            most: most.div_ceil(2),
            sets: Mutex::default(),
        }
    }

    /// Takes a signature at `now`, unless it was taken before.
    pub(super) fn take(&self, id: Id, now: Duration) -> Taken {
        let mut sets = self.sets.lock().unwrap_or_else(PoisonError::into_inner);
        sets.turn(now, self.window);
        if sets.new.contains(&id) || sets.old.contains(&id) {
            return Taken::Again;
        }
        if sets.new.len() >= self.most {
            return Taken::Full;
        }
        sets.new.insert(id);
        Taken::First
    }
}

impl Sets {
    fn turn(&mut self, now: Duration, window: Duration) {
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

    #[test]
    fn nothing_is_taken_twice_within_its_window_and_memory_is_bounded() {
        let window = Duration::from_secs(10);
        let replays = Replays::new(window, 4);
        let at = |seconds| Duration::from_secs(seconds);
        let one = id("k", None, b"1");
        assert_eq!(replays.take(one, at(9)), Taken::First);
        for seconds in [9, 10, 18, 19] {
            assert_eq!(replays.take(one, at(seconds)), Taken::Again, "at {seconds}");
        }
        assert_eq!(
            replays.take(one, at(40)),
            Taken::First,
            "by now it is too old anyway"
        );
        assert_eq!(replays.take(id("k", None, b"2"), at(40)), Taken::First);
        assert_eq!(replays.take(id("k", None, b"3"), at(40)), Taken::Full);
        assert_eq!(replays.take(one, at(41)), Taken::Again);
        assert_eq!(
            replays.take(id("k", None, b"3"), at(50)),
            Taken::First,
            "room again"
        );
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
