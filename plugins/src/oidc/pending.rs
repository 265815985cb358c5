use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderMap;
use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

use super::cookie;
use super::return_to::ReturnTo;
use super::seal::Seal;

/// Between the way to the provider and the way back, in seconds: somebody may look for a phone.
pub(super) const LASTS_S: i64 = 600;
/// So many tabs may be signing in at once; one more ends the oldest.
const MAX_AT_ONCE: usize = 4;
/// So many cookies of sign-ins are taken away in one answer.
pub(super) const MAX_CLEARED: usize = 2 * MAX_AT_ONCE;

/// A sign-in under way, as the browser that began it keeps it for us: each in a cookie of its own,
/// so that two tabs don't end each other's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Pending {
    pub(super) state: String,
    pub(super) nonce: String,
    /// RFC 7636.
    pub(super) verifier: String,
    /// Where the browser was going.
    pub(super) to: String,
    /// When it began, in Unix seconds.
    pub(super) begun: i64,
    /// Whether the provider was told to ask again, however fresh its own session.
    #[serde(default)]
    pub(super) anew: bool,
}

impl Pending {
    pub(super) fn begin(seal: &Seal, to: &ReturnTo, anew: bool, now: i64) -> Self {
        Self {
            state: seal.random(),
            nonce: seal.random(),
            verifier: seal.random(),
            to: to.as_str().to_owned(),
            begun: now,
            anew,
        }
    }

    /// What the provider is shown of the verifier (`S256`).
    pub(super) fn challenge(&self) -> String {
        URL_SAFE_NO_PAD.encode(digest(&SHA256, self.verifier.as_bytes()))
    }

    /// The cookie that keeps it: its name tells nothing of the state.
    pub(super) fn close(&self, seal: &Seal, session: &str) -> (String, String) {
        let name = name(session, &self.state);
        let json = serde_json::to_vec(self).expect("a login has only string keys");
        let value = seal.close(&name, &json);
        (name, value)
    }

    /// The sign-in that this browser began with that state, and that is not too old.
    pub(super) fn find(
        seal: &Seal,
        headers: &HeaderMap,
        session: &str,
        state: &str,
        now: i64,
    ) -> Option<Self> {
        let name = name(session, state);
        let pending = Self::open(seal, &name, cookie::single(headers, &name)?)?;
        let same = pending.state.as_bytes().ct_eq(state.as_bytes());
        (bool::from(same) && pending.is_live(now)).then_some(pending)
    }

    fn open(seal: &Seal, name: &str, value: &str) -> Option<Self> {
        serde_json::from_slice(&seal.open(name, value)?).ok()
    }

    fn is_live(&self, now: i64) -> bool {
        let age = now.saturating_sub(self.begun);
        (-60..LASTS_S).contains(&age)
    }
}

/// The name of the cookie of one sign-in.
pub(super) fn name(session: &str, state: &str) -> String {
    let hash = digest(&SHA256, state.as_bytes());
    format!("{session}.{}", URL_SAFE_NO_PAD.encode(&hash.as_ref()[..9]))
}

/// Whether a cookie of that name is one of a sign-in.
pub(super) fn is_one(session: &[u8], name: &[u8]) -> bool {
    name.strip_prefix(session)
        .is_some_and(|rest| rest.first() == Some(&b'.'))
}

/// The cookies that must go when one more sign-in begins: the dead ones, and the oldest beyond
/// what a browser is to carry.
pub(super) fn surplus(seal: &Seal, headers: &HeaderMap, session: &str, now: i64) -> Vec<String> {
    let mut live = Vec::new();
    let mut gone = Vec::new();
    for (name, value) in cookie::all(headers) {
        if !is_one(session.as_bytes(), name.as_bytes()) {
            continue;
        }
        match Pending::open(seal, name, value) {
            Some(pending) if pending.is_live(now) => live.push((pending.begun, name.to_owned())),

            _ if is_token(name) => gone.push(name.to_owned()),
            _ => {}
        }
    }
    live.sort_unstable();
    let too_many = (live.len() + 1).saturating_sub(MAX_AT_ONCE);
    gone.extend(live.drain(..too_many).map(|(_, name)| name));
    gone.truncate(MAX_CLEARED);
    gone
}

/// Whether a name can be written into a header of ours: anybody may have made it.
pub(super) fn is_token(name: &str) -> bool {
    name.bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use http::header::COOKIE;

    use super::*;

    const KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
    const NAME: &str = "__Host-staff";

    fn seal() -> Seal {
        Seal::new(KEY, "").map_err(|e| e.to_string()).expect("keys")
    }

    fn begun(seal: &Seal, now: i64) -> (Pending, String) {
        let pending = Pending::begin(seal, &ReturnTo::root(), false, now);
        let (name, value) = pending.close(seal, NAME);
        (pending, format!("{name}={value}"))
    }

    fn request(cookies: &[String]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let line = HeaderValue::from_str(&cookies.join("; ")).expect("a value");
        headers.insert(COOKIE, line);
        headers
    }

    #[test]
    fn the_challenge_is_that_of_rfc_7636() {
        let (mut pending, _) = begun(&seal(), 0);
        pending.verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk".into();
        assert_eq!(
            pending.challenge(),
            "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
        );
    }

    #[test]
    fn two_tabs_find_their_own() {
        let seal = seal();
        let (one, first) = begun(&seal, 100);
        let (two, second) = begun(&seal, 101);
        let headers = request(&[first, second]);
        for pending in [one, two] {
            let found = Pending::find(&seal, &headers, NAME, &pending.state, 110);
            assert_eq!(found, Some(pending));
        }
    }

    #[test]
    fn gateway_29_a_state_is_of_one_browser_and_ends() {
        let seal = seal();
        let (pending, cookie) = begun(&seal, 100);
        let headers = request(std::slice::from_ref(&cookie));
        let find = |headers: &HeaderMap, state: &str, now: i64| {
            Pending::find(&seal, headers, NAME, state, now).is_some()
        };
        assert!(find(&headers, &pending.state, 100 + LASTS_S - 1));
        assert!(!find(&headers, &pending.state, 100 + LASTS_S));
        assert!(!find(&headers, &seal.random(), 101));
        assert!(!find(&headers, "", 101));
        assert!(!find(&HeaderMap::new(), &pending.state, 101));
        // Another state's name on it does not make it that state's.
        let (_, value) = cookie.split_once('=').expect("a pair");
        let other = seal.random();
        let renamed = format!("{}={value}", name(NAME, &other));
        assert!(!find(&request(&[renamed]), &other, 101));
    }

    #[test]
    fn a_browser_carries_a_few_at_most() {
        let seal = seal();
        let cookies: Vec<String> = (0..4).map(|at| begun(&seal, 100 + at).1).collect();
        let oldest = cookies[0].split_once('=').expect("a pair").0;
        assert_eq!(
            surplus(&seal, &request(&cookies[..3]), NAME, 110),
            <[String; 0]>::default()
        );
        assert_eq!(surplus(&seal, &request(&cookies), NAME, 110), [oldest]);
        assert_eq!(
            surplus(&seal, &request(&cookies), NAME, 110 + LASTS_S).len(),
            4
        );
        let forged = request(&[
            format!("{NAME}.x=y"),
            format!("{NAME}=session"),
            "a=b".into(),
        ]);
        assert_eq!(surplus(&seal, &forged, NAME, 110), [format!("{NAME}.x")]);
    }
}
