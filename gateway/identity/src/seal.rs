use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::Mac;

use crate::{KeyRing, MAX_SEALED_BYTES, MAX_TTL_S, Statement};

/// Clocks of two machines may differ by this much, in seconds.
const SKEW_S: i64 = 5;

/// Why a sealed statement was not believed. A backend answers 401 to each of them alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// Not in the form that [`seal`] writes.
    #[error("the identity is malformed")]
    Malformed,
    /// Sealed with a key that is not in the ring.
    #[error("the identity is sealed with an unknown key")]
    UnknownKey,
    /// Changed since it was sealed, or never sealed by us.
    #[error("the identity's seal is broken")]
    Broken,
    /// Meant for another upstream.
    #[error("the identity is meant for another upstream")]
    OtherAudience,
    /// Too old, from the future, or valid for longer than [`MAX_TTL_S`].
    #[error("the identity is out of its time")]
    OutOfTime,
}

/// Seals a statement with the ring's first key.
pub fn seal(ring: &KeyRing, statement: &Statement) -> String {
    let key = &ring.keys[0];
    let json = serde_json::to_vec(statement).expect("a statement has only string keys");
    let mut sealed = String::with_capacity(64 + json.len() * 4 / 3);
    sealed.push_str("v1.");
    sealed.push_str(&key.id);
    sealed.push('.');
    URL_SAFE_NO_PAD.encode_string(json, &mut sealed);
    let tag = key.mac.clone().chain_update(sealed.as_bytes()).finalize();
    sealed.push('.');
    URL_SAFE_NO_PAD.encode_string(tag.into_bytes(), &mut sealed);
    sealed
}

/// Opens a sealed statement that is meant for `aud`, at `now` in Unix seconds.
///
/// The seal is compared in constant time, and the statement is parsed only once it holds.
pub fn open(ring: &KeyRing, sealed: &str, aud: &str, now: i64) -> Result<Statement, SealError> {
    if sealed.len() > MAX_SEALED_BYTES {
        return Err(SealError::Malformed);
    }
    let (signed, tag) = sealed.rsplit_once('.').ok_or(SealError::Malformed)?;
    let (key_id, payload) = signed
        .strip_prefix("v1.")
        .and_then(|rest| rest.split_once('.'))
        .ok_or(SealError::Malformed)?;
    let tag = URL_SAFE_NO_PAD
        .decode(tag)
        .map_err(|_| SealError::Malformed)?;
    let key = ring
        .keys
        .iter()
        .find(|key| key.id == key_id)
        .ok_or(SealError::UnknownKey)?;
    key.mac
        .clone()
        .chain_update(signed.as_bytes())
        .verify_slice(&tag)
        .map_err(|_| SealError::Broken)?;
    let json = URL_SAFE_NO_PAD
        .decode(payload)
        .map_err(|_| SealError::Malformed)?;
    let statement: Statement = serde_json::from_slice(&json).map_err(|_| SealError::Malformed)?;
    if statement.aud != aud {
        return Err(SealError::OtherAudience);
    }
    let alive = statement.iat <= now.saturating_add(SKEW_S)
        && now < statement.exp.saturating_add(SKEW_S)
        && statement.exp.saturating_sub(statement.iat) <= MAX_TTL_S;
    if !alive {
        return Err(SealError::OutOfTime);
    }
    Ok(statement)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Principal;

    fn ring(digits: &[&str]) -> KeyRing {
        let text: Vec<String> = digits.iter().map(|pair| pair.repeat(32)).collect();
        KeyRing::parse(&text.join("\n")).expect("keys")
    }

    fn statement() -> Statement {
        Statement {
            who: Some(Principal {
                sub: "u1".into(),
                roles: vec!["user".into()],
                ..Principal::default()
            }),
            client: Some([192, 0, 2, 9].into()),
            aud: "users".into(),
            route: "me.read".into(),
            request_id: "r1".into(),
            iat: 1_000,
            exp: 1_060,
        }
    }

    #[test]
    fn what_is_sealed_opens_again() {
        let ring = ring(&["0a"]);
        let sealed = seal(&ring, &statement());
        assert_eq!(open(&ring, &sealed, "users", 1_001), Ok(statement()));
    }

    #[test]
    fn a_rotated_key_still_opens_and_an_unknown_one_does_not() {
        let sealed = seal(&ring(&["0a"]), &statement());
        assert!(open(&ring(&["0b", "0a"]), &sealed, "users", 1_001).is_ok());
        assert_eq!(
            open(&ring(&["0b"]), &sealed, "users", 1_001),
            Err(SealError::UnknownKey)
        );
    }

    #[test]
    fn audience_and_time_are_kept() {
        let ring = ring(&["0a"]);
        let sealed = seal(&ring, &statement());
        for (aud, now, error) in [
            ("transactions", 1_001, SealError::OtherAudience),
            ("users", 1_065, SealError::OutOfTime),
            ("users", 900, SealError::OutOfTime),
        ] {
            assert_eq!(open(&ring, &sealed, aud, now), Err(error));
        }
        let long = Statement {
            exp: 1_061,
            ..statement()
        };
        assert_eq!(
            open(&ring, &seal(&ring, &long), "users", 1_001),
            Err(SealError::OutOfTime)
        );
    }

    #[test]
    fn no_changed_byte_is_believed() {
        let ring = ring(&["0a"]);
        let sealed = seal(&ring, &statement());
        for at in 0..sealed.len() {
            let mut bytes = sealed.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(bytes).expect("ASCII");
            assert!(
                open(&ring, &changed, "users", 1_001).is_err(),
                "byte {at} changed and believed"
            );
        }
        for odd in ["", ".", "v1..", "v1.a.b.c", "v2.a.b.c", "v1.a.b.c.d"] {
            assert!(open(&ring, odd, "users", 1_001).is_err(), "{odd}");
        }
        let huge = "a".repeat(MAX_SEALED_BYTES + 1);
        assert_eq!(
            open(&ring, &huge, "users", 1_001),
            Err(SealError::Malformed)
        );
    }
}
