//! Requests under way, by who makes them. There are as many as the listeners let in.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use identity::Principal;
use plugin_sdk::Proof;

use super::Leash;

/// Parts that are locked apart.
const SHARDS: u64 = 16;

/// All requests under way whose caller a feed could revoke.
#[derive(Default)]
pub(super) struct Ties {
    shards: [Mutex<HashMap<u64, Tied>>; SHARDS as usize],
    next: AtomicU64,
}

/// One of them.
pub(super) struct Tied {
    pub(super) who: Arc<Principal>,
    pub(super) proof: Arc<Proof>,
    /// Whether nobody may go on who can't be judged.
    pub(super) deny: bool,
    leash: Arc<Leash>,
}

/// Keeps a request tied to its caller. Held until the request's end.
pub struct Tie {
    ties: Arc<Ties>,
    id: u64,
}

impl Ties {
    /// Ties a request to who makes it.
    pub(super) fn tie(
        ties: &Arc<Self>,
        who: &Arc<Principal>,
        proof: &Arc<Proof>,
        leash: &Arc<Leash>,
        deny: bool,
    ) -> Tie {
        let id = ties.next.fetch_add(1, Ordering::Relaxed);
        let tied = Tied {
            who: who.clone(),
            proof: proof.clone(),
            deny,
            leash: leash.clone(),
        };
        ties.shard(id).insert(id, tied);
        Tie {
            ties: ties.clone(),
            id,
        }
    }

    /// Cuts those that are meant, and tells how many.
    pub(super) fn cut(&self, why: &'static str, meant: impl Fn(&Tied) -> bool) -> usize {
        let mut leashes = Vec::new();
        for shard in &self.shards {
            let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            let meant = shard.values().filter(|tied| meant(tied));
            let uncut = meant.filter(|tied| tied.leash.why_cut().is_none());
            leashes.extend(uncut.map(|tied| tied.leash.clone()));
        }
        // Not under the lock: who is woken wants it, to leave.
        leashes.iter().for_each(|leash| leash.cut(why));
        leashes.len()
    }

    fn shard(&self, id: u64) -> std::sync::MutexGuard<'_, HashMap<u64, Tied>> {
        let shard = usize::try_from(id % SHARDS).unwrap_or(0);
        self.shards[shard]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Tie {
    fn drop(&mut self) {
        self.ties.shard(self.id).remove(&self.id);
    }
}
