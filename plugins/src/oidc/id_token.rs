use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{Algorithm, SHA256, SHA384, SHA512, digest};
use serde_json::{Map, Value};
use subtle::ConstantTimeEq;

use crate::jwt::Alg;

/// An ID token that was issued longer ago than this was not issued for this sign-in, in seconds.
const MAX_AGE_S: i64 = 600;

/// What an ID token must say (OpenID Connect Core §3.1.3.7), once its signature holds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Expected<'a> {
    pub(super) issuer: &'a str,
    pub(super) client_id: &'a str,
    /// Of the sign-in that this browser began.
    pub(super) nonce: &'a str,
    /// The code that it was had for.
    pub(super) code: &'a str,
    /// What came with it.
    pub(super) access_token: Option<&'a str>,
    /// What it is signed with: the hashes in it are of that size.
    pub(super) alg: Alg,
    /// The person must have signed in after this, in Unix seconds.
    pub(super) not_before: Option<i64>,
    pub(super) leeway_s: i64,
    pub(super) now: i64,
}

/// Why an ID token is not believed: the claim that is missing or says something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the claim `{0}` of the ID token is missing or not what is asked for")]
pub(super) struct IdFault(pub(super) &'static str);

impl Expected<'_> {
    pub(super) fn judge(&self, claims: &Map<String, Value>) -> Result<(), IdFault> {
        let text = |name: &'static str| match claims.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.as_str())),
            Some(_) => Err(IdFault(name)),
        };
        let time = |name: &'static str| match claims.get(name) {
            None => Ok(None),
            Some(value) => value.as_i64().map(Some).ok_or(IdFault(name)),
        };
        let hold = |good: bool, name: &'static str| good.then_some(()).ok_or(IdFault(name));

        hold(text("iss")? == Some(self.issuer), "iss")?;
        self.judge_audience(claims)?;
        hold(same(text("nonce")?, self.nonce), "nonce")?;

        let expires = time("exp")?.ok_or(IdFault("exp"))?;
        hold(self.now < expires.saturating_add(self.leeway_s), "exp")?;
        let issued = time("iat")?.ok_or(IdFault("iat"))?;
        let age = self.now.saturating_sub(issued);
        hold((-self.leeway_s..=MAX_AGE_S).contains(&age), "iat")?;
        let valid_from = time("nbf")?.unwrap_or(issued);
        hold(valid_from <= self.now.saturating_add(self.leeway_s), "nbf")?;
        let signed_in = time("auth_time")?;
        if let Some(not_before) = self.not_before {
            let signed_in = signed_in.ok_or(IdFault("auth_time"))?;
            hold(
                signed_in >= not_before.saturating_sub(self.leeway_s),
                "auth_time",
            )?;
        }

        // A code or a token that was put in place of ours shows here.
        for (name, of) in [("c_hash", Some(self.code)), ("at_hash", self.access_token)] {
            if let Some(hash) = text(name)? {
                let expected = of.map(|of| half_hash(self.alg, of));
                hold(
                    expected.is_some_and(|expected| same(Some(hash), &expected)),
                    name,
                )?;
            }
        }
        let subject = text("sub")?.unwrap_or_default();
        hold(!subject.is_empty() && subject.len() <= 255, "sub")
    }

    /// It is meant for us, and if for others too then it says that we asked for it.
    fn judge_audience(&self, claims: &Map<String, Value>) -> Result<(), IdFault> {
        let (ours, others) = match claims.get("aud") {
            Some(Value::String(one)) => (one == self.client_id, false),
            Some(Value::Array(all)) => (
                all.iter().any(|one| one.as_str() == Some(self.client_id)),
                all.iter().any(|one| one.as_str() != Some(self.client_id)),
            ),
            _ => (false, false),
        };
        if !ours {
            return Err(IdFault("aud"));
        }
        match claims.get("azp") {
            None if !others => Ok(()),
            Some(Value::String(party)) if party == self.client_id => Ok(()),
            _ => Err(IdFault("azp")),
        }
    }
}

fn same(said: Option<&str>, expected: &str) -> bool {
    said.is_some_and(|said| said.as_bytes().ct_eq(expected.as_bytes()).into())
}

/// The left half of a hash, of the size that the signature has (OpenID Connect Core §3.1.3.6).
fn half_hash(alg: Alg, text: &str) -> String {
    let hash: &'static Algorithm = match alg {
        Alg::RS256 | Alg::PS256 | Alg::ES256 | Alg::HS256 => &SHA256,
        Alg::RS384 | Alg::PS384 | Alg::ES384 | Alg::HS384 => &SHA384,
        // Ed25519 hashes with SHA-512 within.
        Alg::RS512 | Alg::PS512 | Alg::HS512 | Alg::EdDSA => &SHA512,
    };
    let hash = digest(hash, text.as_bytes());
    let (left, _) = hash.as_ref().split_at(hash.as_ref().len() / 2);
    URL_SAFE_NO_PAD.encode(left)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: i64 = 1_000_000;

    const EXPECTED: Expected<'_> = Expected {
        issuer: "https://sso.test",
        client_id: "edge",
        nonce: "n-1",
        code: "Qcb0Orv1zh30vL1MPRsbm-diHiMwcLyZvn1arpZv-Jxf_11jnpEX3Tgfvk",
        access_token: Some("jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y"),
        alg: Alg::RS256,
        not_before: None,
        leeway_s: 30,
        now: NOW,
    };

    fn good() -> Value {
        json!({
            "iss": "https://sso.test", "aud": "edge", "sub": "alice", "nonce": "n-1",
            "exp": NOW + 60, "iat": NOW - 1, "auth_time": NOW - 2,
        })
    }

    /// Judges the good claims with some changed; `null` takes one away.
    fn judge(changes: Value) -> Result<(), &'static str> {
        judge_by(EXPECTED, changes)
    }

    fn judge_by(expected: Expected<'_>, changes: Value) -> Result<(), &'static str> {
        let mut claims = good().as_object().expect("an object").clone();
        for (name, value) in changes.as_object().expect("an object") {
            match value {
                Value::Null => claims.remove(name),
                value => claims.insert(name.clone(), value.clone()),
            };
        }
        expected.judge(&claims).map_err(|fault| fault.0)
    }

    #[test]
    fn gateway_29_an_id_token_of_another_sign_in_client_or_issuer_is_refused() {
        assert_eq!(judge(json!({})), Ok(()));
        for (changes, claim) in [
            (json!({ "iss": "https://evil.test" }), "iss"),
            (json!({ "iss": "https://sso.test/" }), "iss"),
            (json!({ "iss": null }), "iss"),
            (json!({ "aud": "other" }), "aud"),
            (json!({ "aud": ["other"] }), "aud"),
            (json!({ "aud": [] }), "aud"),
            (json!({ "aud": null }), "aud"),
            (json!({ "aud": "edge", "azp": "other" }), "azp"),
            (json!({ "aud": ["edge", "other"] }), "azp"),
            (json!({ "aud": ["edge", 7] }), "azp"),
            (json!({ "aud": ["edge", "other"], "azp": "other" }), "azp"),
            (json!({ "aud": "edge", "azp": 7 }), "azp"),
            (json!({ "nonce": null }), "nonce"),
            (json!({ "nonce": "n-2" }), "nonce"),
            (json!({ "nonce": "" }), "nonce"),
            (json!({ "nonce": ["n-1"] }), "nonce"),
            (json!({ "sub": "" }), "sub"),
            (json!({ "sub": null }), "sub"),
            (json!({ "sub": "s".repeat(256) }), "sub"),
        ] {
            assert_eq!(judge(changes.clone()), Err(claim), "{changes}");
        }
        assert_eq!(judge(json!({ "aud": ["edge"] })), Ok(()));
        assert_eq!(
            judge(json!({ "aud": ["edge", "other"], "azp": "edge" })),
            Ok(())
        );
    }

    #[test]
    fn an_id_token_is_of_now() {
        for (changes, claim) in [
            (json!({ "exp": NOW - 30 }), "exp"),
            (json!({ "exp": null }), "exp"),
            (json!({ "exp": "never" }), "exp"),
            (json!({ "exp": 1e300 }), "exp"),
            (json!({ "iat": NOW + 31 }), "iat"),
            (json!({ "iat": NOW - 601 }), "iat"),
            (json!({ "iat": null }), "iat"),
            (json!({ "nbf": NOW + 31 }), "nbf"),
        ] {
            assert_eq!(judge(changes.clone()), Err(claim), "{changes}");
        }
        assert_eq!(judge(json!({ "exp": NOW - 29, "iat": NOW + 30 })), Ok(()));
        let anew = Expected {
            not_before: Some(NOW - 100),
            ..EXPECTED
        };
        assert_eq!(judge_by(anew, json!({})), Ok(()));
        assert_eq!(
            judge_by(anew, json!({ "auth_time": NOW - 131 })),
            Err("auth_time")
        );
        assert_eq!(
            judge_by(anew, json!({ "auth_time": null })),
            Err("auth_time")
        );
    }

    /// The hashes are those of OpenID Connect Core, appendix A.
    #[test]
    fn gateway_29_an_injected_code_or_token_shows_in_the_hashes() {
        assert_eq!(
            judge(json!({ "at_hash": "77QmUPtjPfzWtF2AnpK9RQ" })),
            Ok(())
        );
        assert_eq!(judge(json!({ "c_hash": "LDktKdoQak3Pk0cnXxCltA" })), Ok(()));
        assert_eq!(
            judge(json!({ "at_hash": "LDktKdoQak3Pk0cnXxCltA" })),
            Err("at_hash")
        );
        assert_eq!(
            judge(json!({ "c_hash": "77QmUPtjPfzWtF2AnpK9RQ" })),
            Err("c_hash")
        );
        assert_eq!(judge(json!({ "at_hash": "" })), Err("at_hash"));
        let without = Expected {
            access_token: None,
            ..EXPECTED
        };
        assert_eq!(
            judge_by(without, json!({ "at_hash": "77QmUPtjPfzWtF2AnpK9RQ" })),
            Err("at_hash")
        );
        let other = Expected {
            alg: Alg::RS512,
            ..EXPECTED
        };
        assert_eq!(
            judge_by(other, json!({ "at_hash": "77QmUPtjPfzWtF2AnpK9RQ" })),
            Err("at_hash")
        );
    }
}
