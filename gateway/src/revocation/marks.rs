//! What is revoked, by session, caller and key. Every authenticated request looks here.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{PoisonError, RwLock};

use identity::Principal;
use plugin_sdk::{Form, Proof};

use super::page::Item;

/// Marks of one feed: about 200 bytes each. They live for minutes, keys and callers for an hour.
pub(super) const CAPACITY: usize = 1_000_000;
/// Parts that are locked apart.
const SHARDS: usize = 16;
/// A mark that is told too late to refuse anything still meets what is under way, in seconds.
const AT_LEAST_S: i64 = 5;

/// Everything that a feed has told and that matters still.
pub(super) struct Marks {
    sessions: Shards,
    subjects: Shards,
    keys: Shards,
    count: AtomicUsize,
    capacity: usize,
}

struct Shards {
    shards: [RwLock<HashMap<Box<str>, Mark>>; SHARDS],
    hasher: RandomState,
}

#[derive(Clone, Copy)]
struct Mark {
    /// What was issued before this is refused, in Unix seconds.
    not_before: i64,
    /// When it can be forgotten, in Unix seconds.
    until: i64,
}

impl Default for Marks {
    fn default() -> Self {
        Self::of(CAPACITY)
    }
}

impl Marks {
    pub(super) fn of(capacity: usize) -> Self {
        Self {
            sessions: Shards::default(),
            subjects: Shards::default(),
            keys: Shards::default(),
            count: AtomicUsize::new(0),
            capacity,
        }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Sets one; false when there is no room for it.
    pub(super) fn set(&self, item: &Item, now: i64) -> bool {
        let (marks, not_before) = match item.kind.as_str() {
            "session" => (&self.sessions, i64::MAX),
            "api_key" => (&self.keys, i64::MAX),
            // Without a time, all there is.
            "subject" => (&self.subjects, item.not_before.unwrap_or(i64::MAX)),
            kind => {
                tracing::error!(
                    kind,
                    "something was revoked that this gateway does not know"
                );
                return true;
            }
        };
        let mark = Mark {
            not_before,
            until: item.until.max(now + AT_LEAST_S),
        };
        let mut shard = write(marks.shard(&item.id));
        if let Some(known) = shard.get_mut(item.id.as_str()) {
            known.not_before = known.not_before.max(mark.not_before);
            known.until = known.until.max(mark.until);
            return true;
        }
        if self.count.fetch_add(1, Ordering::Relaxed) >= self.capacity {
            self.count.fetch_sub(1, Ordering::Relaxed);
            return false;
        }
        shard.insert(item.id.as_str().into(), mark);
        true
    }

    /// Whether this proof of this caller is revoked.
    pub(super) fn revoke(&self, who: &Principal, proof: &Proof) -> bool {
        if self.len() == 0 {
            return false;
        }
        let session = match proof.form {
            Form::Session => proof.key.as_deref(),
            _ => None,
        };
        let key = match proof.form {
            Form::Key => proof.key.as_deref(),
            _ => None,
        };
        self.subjects.refuses(&who.sub, proof.issued_at)
            || who.sid.as_deref().is_some_and(|sid| self.sessions.has(sid))
            || session.is_some_and(|sid| self.sessions.has(sid))
            || key.is_some_and(|key| self.keys.has(key))
    }

    /// Forgets what refuses nothing any more. One part is locked at a time.
    pub(super) fn expire(&self, now: i64) {
        for marks in [&self.sessions, &self.subjects, &self.keys] {
            for shard in &marks.shards {
                let mut shard = write(shard);
                let before = shard.len();
                shard.retain(|_, mark| mark.until > now);
                self.count
                    .fetch_sub(before - shard.len(), Ordering::Relaxed);
                shard.shrink_to(before);
            }
        }
    }
}

impl Default for Shards {
    fn default() -> Self {
        Self {
            shards: std::array::from_fn(|_| RwLock::default()),
            hasher: RandomState::new(),
        }
    }
}

impl Shards {
    fn shard(&self, id: &str) -> &RwLock<HashMap<Box<str>, Mark>> {
        let hash = usize::try_from(self.hasher.hash_one(id) % SHARDS as u64).unwrap_or(0);
        &self.shards[hash]
    }

    fn refuses(&self, id: &str, issued_at: i64) -> bool {
        let shard = self
            .shard(id)
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        shard
            .get(id)
            .is_some_and(|mark| issued_at < mark.not_before)
    }

    fn has(&self, id: &str) -> bool {
        self.refuses(id, 0)
    }
}

fn write(
    shard: &RwLock<HashMap<Box<str>, Mark>>,
) -> std::sync::RwLockWriteGuard<'_, HashMap<Box<str>, Mark>> {
    shard.write().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(kind: &str, id: &str, not_before: Option<i64>, until: i64) -> Item {
        Item {
            cursor: 1,
            kind: kind.to_owned(),
            id: id.to_owned(),
            not_before,
            revoked_at_ms: 0,
            until,
        }
    }

    fn who(sub: &str, sid: Option<&str>) -> Principal {
        Principal {
            sub: sub.to_owned(),
            sid: sid.map(str::to_owned),
            ..Principal::default()
        }
    }

    fn proof(form: Form, key: Option<&str>, issued_at: i64) -> Proof {
        Proof {
            way: "user".into(),
            form,
            key: key.map(Into::into),
            issued_at,
            expires_at: None,
            claims: serde_json::Map::new(),
        }
    }

    #[test]
    fn gateway_26_each_kind_refuses_what_it_names_and_nothing_else() {
        let marks = Marks::default();
        assert!(marks.set(&item("subject", "ann", Some(100), 500), 0));
        assert!(marks.set(&item("session", "s1", None, 500), 0));
        assert!(marks.set(&item("api_key", "k1", None, 500), 0));
        assert!(marks.set(&item("planet", "pluto", None, 500), 0));
        let bearer = |issued_at| proof(Form::Bearer, None, issued_at);
        for (who, proof, revoked) in [
            (who("ann", None), bearer(99), true),
            (who("ann", None), bearer(100), false),
            (who("bob", Some("s1")), bearer(1_000), true),
            (who("bob", Some("s2")), bearer(0), false),
            (who("s1", None), bearer(0), false),
            (who("bob", None), proof(Form::Key, Some("k1"), 1_000), true),
            (who("bob", None), proof(Form::Key, Some("s1"), 0), false),
            (who("bob", None), proof(Form::Session, Some("s1"), 0), true),
            (who("bob", None), proof(Form::Bearer, Some("k1"), 0), false),
            (who("ann", None), proof(Form::Key, Some("k2"), 50), true),
        ] {
            assert_eq!(marks.revoke(&who, &proof), revoked, "{who:?} {proof:?}");
        }
    }

    #[test]
    fn a_mark_is_only_made_stricter_and_goes_when_it_matters_no_longer() {
        let marks = Marks::default();
        marks.set(&item("subject", "ann", Some(200), 500), 0);
        marks.set(&item("subject", "ann", Some(100), 300), 0);
        assert_eq!(marks.len(), 1);
        marks.expire(400);
        assert!(marks.revoke(&who("ann", None), &proof(Form::Bearer, None, 199)));
        marks.expire(500);
        assert_eq!(marks.len(), 0);
        assert!(!marks.revoke(&who("ann", None), &proof(Form::Bearer, None, 199)));
        // Told long after: requests that are under way must still meet it.
        marks.set(&item("session", "s1", None, 100), 1_000);
        marks.expire(1_001);
        assert_eq!(marks.len(), 1);
    }

    #[test]
    fn what_has_no_room_is_said() {
        let marks = Marks::of(2);
        assert!(marks.set(&item("session", "a", None, 9), 0));
        assert!(marks.set(&item("session", "b", None, 9), 0));
        assert!(!marks.set(&item("session", "c", None, 9), 0));
        assert!(marks.set(&item("session", "a", None, 9), 0));
        marks.expire(9);
        assert!(marks.set(&item("session", "c", None, 99), 0));
    }
}
