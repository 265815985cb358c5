use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;
use plugin_sdk::Env;

use super::config::MAX_TTL;
use super::pending;

/// So many states and sessions are remembered, some 200 bytes each.
const MOST: u64 = 100_000;

/// What this gateway remembers of what is over. Another one does not know: there a state is spent
/// because the browser's cookie is gone and the provider takes no code twice, and a session because
/// the browser has let go of it.
pub(super) struct Memory {
    states: Cache<String, ()>,
    sessions: Cache<String, ()>,
}

impl Memory {
    /// The memory of this way, which outlives a reload, whatever was edited.
    pub(super) fn of(env: &Env) -> Arc<Self> {
        env.keep(&format!("oidc memory {}", env.name()), || Self {
            states: lasting(Duration::from_secs(2 * pending::LASTS_S.unsigned_abs())),
            // Not the table's time of now: with a longer one what is over would be good again.
            sessions: lasting(MAX_TTL),
        })
    }

    /// Spends a state; false when it has been spent before.
    pub(super) fn spend(&self, state: &str) -> bool {
        self.states.entry_by_ref(state).or_insert(()).is_fresh()
    }

    pub(super) fn end(&self, sid: &str) {
        self.sessions.insert(sid.to_owned(), ());
    }

    pub(super) fn has_ended(&self, sid: &str) -> bool {
        self.sessions.contains_key(sid)
    }
}

fn lasting(time: Duration) -> Cache<String, ()> {
    Cache::builder()
        .max_capacity(MOST)
        .time_to_live(time)
        .build()
}
