use std::time::Duration;

use plugin_sdk::{Form, Principal, Proof};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::seal::Seal;

/// A sealed session may take this much: browsers drop cookies of more than 4096 bytes, name and
/// attributes included, and say nothing.
pub(super) const MAX_BYTES: usize = 3_584;

/// Gateways' clocks may differ by so much, in seconds.
const SKEW_S: i64 = 60;

/// Who has signed in, as the browser keeps it for us.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Session {
    /// Its own id, new with each sign-in.
    pub(super) sid: String,
    pub(super) sub: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) roles: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) acr: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) auth_time: Option<i64>,
    /// When it began, in Unix seconds.
    pub(super) begun: i64,
    /// When it was last renewed, in Unix seconds.
    pub(super) seen: i64,
    /// What is kept of the provider's claims.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub(super) claims: Map<String, Value>,
}

/// How long a session lasts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Life {
    /// From its beginning, whatever happens.
    pub(super) ttl_s: i64,
    /// From one request to the next.
    pub(super) idle_s: i64,
}

/// What becomes of a session at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    Good,
    /// Good, and to be written anew, so that it does not go idle.
    Renew,
    Over,
}

impl Life {
    pub(super) fn new(ttl: Duration, idle: Duration) -> Self {
        let seconds = |span: Duration| i64::try_from(span.as_secs()).unwrap_or(i64::MAX);
        Self {
            ttl_s: seconds(ttl),
            idle_s: seconds(idle),
        }
    }

    /// Judges by the table of now: a shorter life holds for sessions that have begun as well.
    pub(super) fn judge(self, session: &Session, now: i64) -> Standing {
        let age = now.saturating_sub(session.begun);
        let idle = now.saturating_sub(session.seen);
        if age < -SKEW_S || idle < -SKEW_S || age >= self.ttl_s || idle >= self.idle_s {
            return Standing::Over;
        }
        // Not on each request: an answer with a cookie in it can't be kept by anybody.
        if idle >= (self.idle_s / 10).max(1) {
            return Standing::Renew;
        }
        Standing::Good
    }

    /// For how many more seconds the browser keeps the session, if nothing renews it.
    pub(super) fn left_s(self, session: &Session, now: i64) -> i64 {
        let ends = session.begun.saturating_add(self.ttl_s);
        let idles = session.seen.saturating_add(self.idle_s);
        ends.min(idles).saturating_sub(now).max(0)
    }
}

impl Session {
    /// Opens a cookie's value.
    pub(super) fn open(seal: &Seal, name: &str, value: &str) -> Option<Self> {
        if value.len() > MAX_BYTES {
            return None;
        }
        serde_json::from_slice(&seal.open(name, value)?).ok()
    }

    /// A cookie's value; `None` when it would be too long for a browser.
    pub(super) fn close(&self, seal: &Seal, name: &str) -> Option<String> {
        let json = serde_json::to_vec(self).expect("a session has only string keys");
        let value = seal.close(name, &json);
        (value.len() <= MAX_BYTES).then_some(value)
    }

    pub(super) fn principal(&self) -> Principal {
        Principal {
            sub: self.sub.clone(),
            roles: self.roles.clone(),
            scopes: Vec::new(),
            sid: Some(self.sid.clone()),
            acr: self.acr.clone(),
            auth_time: self.auth_time,
        }
    }

    pub(super) fn proof(self, way: &std::sync::Arc<str>, life: Life) -> Proof {
        Proof {
            way: way.clone(),
            form: Form::Session,
            key: Some(self.sid.into()),
            issued_at: self.begun,
            expires_at: Some(self.begun.saturating_add(life.ttl_s)),
            claims: self.claims,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
    const LIFE: Life = Life {
        ttl_s: 1_000,
        idle_s: 100,
    };

    fn session() -> Session {
        Session {
            sid: "s".into(),
            sub: "alice".into(),
            roles: vec!["staff".into()],
            acr: None,
            auth_time: Some(4),
            begun: 10_000,
            seen: 10_000,
            claims: Map::new(),
        }
    }

    #[test]
    fn a_session_ends_when_idle_and_at_its_end() {
        let check = |seen: i64, now: i64, standing: Standing| {
            let session = Session { seen, ..session() };
            assert_eq!(LIFE.judge(&session, now), standing, "{seen} {now}");
        };
        check(10_000, 10_000, Standing::Good);
        check(10_000, 10_009, Standing::Good);
        check(10_000, 10_010, Standing::Renew);
        check(10_000, 10_099, Standing::Renew);
        check(10_000, 10_100, Standing::Over);
        check(10_990, 10_999, Standing::Good);
        check(10_990, 11_000, Standing::Over);
        // Sealed by a gateway whose clock is ahead, or not by any.
        check(10_000, 9_940, Standing::Good);
        check(10_000, 9_939, Standing::Over);
        check(i64::MAX, 10_000, Standing::Over);
        check(i64::MIN, 10_000, Standing::Over);
    }

    #[test]
    fn a_browser_keeps_it_no_longer_than_it_lasts() {
        assert_eq!(LIFE.left_s(&session(), 10_000), 100);
        assert_eq!(LIFE.left_s(&session(), 10_060), 40);
        let late = Session {
            seen: 10_950,
            ..session()
        };
        assert_eq!(LIFE.left_s(&late, 10_950), 50);
        assert_eq!(LIFE.left_s(&late, 12_000), 0);
    }

    #[test]
    fn it_comes_back_whole_or_not_at_all() {
        let seal = Seal::new(KEY, "").map_err(|e| e.to_string()).expect("keys");
        let value = session().close(&seal, "__Host-staff").expect("fits");
        assert_eq!(
            Session::open(&seal, "__Host-staff", &value),
            Some(session())
        );
        assert_eq!(Session::open(&seal, "__Host-other", &value), None);
        let mut great = session();
        great.roles = vec!["r".repeat(MAX_BYTES)];
        assert_eq!(great.close(&seal, "__Host-staff"), None);
    }

    #[test]
    fn the_proof_is_the_sessions() {
        let proof = session().proof(&"staff".into(), LIFE);
        assert_eq!(
            (proof.form, proof.key.as_deref()),
            (Form::Session, Some("s"))
        );
        assert_eq!(proof.expires_at, Some(11_000));
    }
}
