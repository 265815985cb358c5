//! An ID token: whether it is believed (OpenID Connect Core §3.1.3.7), and what it says.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// The one algorithm that Google and Apple sign with. What a token says of itself chooses nothing.
const ALGORITHM: Algorithm = Algorithm::RS256;
/// Longer than any token of theirs.
const MAX_BYTES: usize = 8 * 1024;
/// Clocks differ by so much, in seconds.
const LEEWAY_S: i64 = 60;
/// A token that was issued longer ago was not issued for this sign-in, in seconds.
const MAX_AGE_S: i64 = 600;

/// What the token must say.
#[derive(Clone, Copy)]
pub(super) struct Expected<'a> {
    /// Any of them.
    pub(super) issuers: &'a [&'a str],
    /// Whom it may be meant for: any of them, and nobody else.
    pub(super) client_ids: &'a [&'a str],
    /// Any of them.
    pub(super) nonces: &'a [&'a str],
    /// What came with it, if anything.
    pub(super) access_token: Option<&'a str>,
    /// In Unix seconds.
    pub(super) now: i64,
}

/// Why an ID token is not believed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum IdFault {
    #[error("the ID token is no token signed with {ALGORITHM:?}")]
    Header,
    #[error("the ID token's signature is not the provider's")]
    Signature,
    #[error("the claim `{0}` of the ID token is missing or not what was asked for")]
    Claim(&'static str),
}

/// What an ID token may tell about a person. Whatever else it claims is nothing to us.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Person {
    pub(super) subject: String,
    pub(super) client_id: String,
    pub(super) email: Option<String>,
    pub(super) email_verified: bool,
    /// The domain that Google runs for an organisation.
    pub(super) hosted: bool,
    pub(super) name: Option<String>,
}

/// The name of the key that a token says it is signed with.
pub(super) fn key_id(token: &str) -> Result<String, IdFault> {
    if token.len() > MAX_BYTES {
        return Err(IdFault::Header);
    }
    let header = jsonwebtoken::decode_header(token).map_err(|_| IdFault::Header)?;
    // `crit` names what must be understood, and we understand none of it (RFC 7515 §4.1.11). A token
    // of another type is another token, signed with the same keys.
    let plain = header.alg == ALGORITHM
        && header.crit.is_none()
        && header.typ.is_none_or(|typ| typ.eq_ignore_ascii_case("JWT"));
    match header.kid {
        Some(kid) if plain => Ok(kid),
        _ => Err(IdFault::Header),
    }
}

impl Expected<'_> {
    pub(super) fn verify(&self, token: &str, key: &DecodingKey) -> Result<Person, IdFault> {
        let mut validation = Validation::new(ALGORITHM);
        // The signature alone: the claims are judged below, by our clock.
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        validation.validate_aud = false;
        let claims: Map<String, Value> = jsonwebtoken::decode(token, key, &validation)
            .map_err(|_| IdFault::Signature)?
            .claims;
        self.judge(&claims)
    }

    fn judge(&self, claims: &Map<String, Value>) -> Result<Person, IdFault> {
        let text = |name| claims.get(name).and_then(Value::as_str);
        let time = |name| claims.get(name).and_then(Value::as_i64);
        let hold = |good: bool, name| good.then_some(()).ok_or(IdFault::Claim(name));

        hold(among(text("iss"), self.issuers), "iss")?;
        let client_id = self.audience(claims)?;
        hold(
            text("nonce").is_some_and(|said| self.nonces.iter().any(|nonce| same(said, nonce))),
            "nonce",
        )?;
        let expires = time("exp").ok_or(IdFault::Claim("exp"))?;
        hold(self.now < expires.saturating_add(LEEWAY_S), "exp")?;
        let issued = time("iat").ok_or(IdFault::Claim("iat"))?;
        let age = self.now.saturating_sub(issued);
        hold((-LEEWAY_S..=MAX_AGE_S).contains(&age), "iat")?;
        if claims.contains_key("nbf") {
            let from = time("nbf").ok_or(IdFault::Claim("nbf"))?;
            hold(from <= self.now.saturating_add(LEEWAY_S), "nbf")?;
        }
        // An access token that was put in place of ours shows here.
        if let (Some(access_token), Some(said)) = (self.access_token, claims.get("at_hash")) {
            let said = said.as_str().unwrap_or_default();
            hold(same(said, &half_hash(access_token)), "at_hash")?;
        }
        let subject = text("sub").unwrap_or_default();
        let printable = subject.chars().all(|c| !c.is_control());
        hold(
            !subject.is_empty() && subject.len() <= 255 && printable,
            "sub",
        )?;
        Ok(Person {
            subject: subject.to_owned(),
            client_id,
            email: text("email").map(str::to_owned),
            // Apple writes a text where others write a word of JSON.
            email_verified: match claims.get("email_verified") {
                Some(Value::Bool(verified)) => *verified,
                Some(Value::String(verified)) => verified == "true",
                _ => false,
            },
            hosted: text("hd").is_some_and(|domain| !domain.is_empty()),
            name: text("name").map(str::to_owned),
        })
    }

    /// It is meant for one client of ours, and if for others too then it says that we asked for it.
    fn audience(&self, claims: &Map<String, Value>) -> Result<String, IdFault> {
        let all = match claims.get("aud") {
            Some(Value::String(one)) => vec![Some(one.as_str())],
            Some(Value::Array(all)) => all.iter().map(Value::as_str).collect(),
            _ => vec![],
        };
        let ours = |one: &&str| self.client_ids.contains(one);
        let us = all.iter().flatten().copied().find(ours);
        let us = us.ok_or(IdFault::Claim("aud"))?;
        match claims.get("azp") {
            None if all.len() == 1 => {}
            // Google's apps on phones ask for a token for the server, and say who asked.
            Some(Value::String(party)) if self.client_ids.contains(&party.as_str()) => {}
            _ => return Err(IdFault::Claim("azp")),
        }
        Ok(us.to_owned())
    }
}

fn among(said: Option<&str>, all: &[&str]) -> bool {
    said.is_some_and(|said| all.contains(&said))
}

fn same(said: &str, expected: &str) -> bool {
    said.as_bytes().ct_eq(expected.as_bytes()).into()
}

/// The left half of a SHA-256, as the algorithm has it (OpenID Connect Core §3.1.3.6).
fn half_hash(text: &str) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(&Sha256::digest(text)[..16])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: i64 = 1_000_000;

    const EXPECTED: Expected<'_> = Expected {
        issuers: &["https://sso.test"],
        client_ids: &["web", "phone"],
        nonces: &["n-1", "n-2"],
        access_token: Some("jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y"),
        now: NOW,
    };

    /// Judges good claims with some changed; `null` takes one away.
    fn judge(changes: Value) -> Result<Person, IdFault> {
        let mut claims = json!({
            "iss": "https://sso.test", "aud": "web", "sub": "alice", "nonce": "n-1",
            "exp": NOW + 60, "iat": NOW - 1,
        });
        let good = claims.as_object_mut().expect("an object");
        for (name, value) in changes.as_object().expect("an object") {
            match value {
                Value::Null => good.remove(name),
                value => good.insert(name.clone(), value.clone()),
            };
        }
        EXPECTED.judge(good)
    }

    #[test]
    fn a_token_of_another_sign_in_client_or_issuer_is_refused() {
        for (changes, claim) in [
            (json!({ "iss": "https://evil.test" }), "iss"),
            (json!({ "iss": "https://sso.test/" }), "iss"),
            (json!({ "iss": null }), "iss"),
            (json!({ "aud": "other" }), "aud"),
            (json!({ "aud": ["other"] }), "aud"),
            (json!({ "aud": [] }), "aud"),
            (json!({ "aud": null }), "aud"),
            (json!({ "azp": "other" }), "azp"),
            (json!({ "azp": 7 }), "azp"),
            (json!({ "aud": ["web", "other"] }), "azp"),
            (json!({ "aud": ["web", 7] }), "azp"),
            (json!({ "aud": ["web", "other"], "azp": "other" }), "azp"),
            (json!({ "nonce": null }), "nonce"),
            (json!({ "nonce": "n-3" }), "nonce"),
            (json!({ "nonce": "" }), "nonce"),
            (json!({ "nonce": ["n-1"] }), "nonce"),
            (json!({ "sub": "" }), "sub"),
            (json!({ "sub": null }), "sub"),
            (json!({ "sub": 7 }), "sub"),
            (json!({ "sub": "a\u{0}" }), "sub"),
            (json!({ "sub": "s".repeat(256) }), "sub"),
            (json!({ "exp": NOW - 60 }), "exp"),
            (json!({ "exp": null }), "exp"),
            (json!({ "exp": "never" }), "exp"),
            (json!({ "iat": NOW + 61 }), "iat"),
            (json!({ "iat": NOW - 601 }), "iat"),
            (json!({ "iat": null }), "iat"),
            (json!({ "nbf": NOW + 61 }), "nbf"),
            (json!({ "nbf": "soon" }), "nbf"),
            (json!({ "at_hash": "LDktKdoQak3Pk0cnXxCltA" }), "at_hash"),
            (json!({ "at_hash": 7 }), "at_hash"),
        ] {
            let fault = judge(changes.clone()).expect_err("refused");
            assert_eq!(fault, IdFault::Claim(claim), "{changes}");
        }
        for changes in [
            json!({}),
            json!({ "aud": ["phone"], "nonce": "n-2" }),
            json!({ "azp": "phone" }),
            json!({ "aud": ["web", "other"], "azp": "web" }),
            json!({ "exp": NOW - 59, "iat": NOW + 60, "nbf": NOW + 60 }),
            // The example of OpenID Connect Core, appendix A.
            json!({ "at_hash": "77QmUPtjPfzWtF2AnpK9RQ" }),
        ] {
            assert!(judge(changes.clone()).is_ok(), "{changes}");
        }
    }

    #[test]
    fn an_address_is_verified_if_that_is_what_is_said() {
        for (said, verified) in [
            (json!(true), true),
            (json!("true"), true),
            (json!(false), false),
            (json!("false"), false),
            (json!(1), false),
            (json!("yes"), false),
            (json!(null), false),
        ] {
            let person = judge(json!({ "email": "a@b.example", "email_verified": said }));
            let person = person.expect("good");
            assert_eq!(person.email_verified, verified, "{said}");
        }
    }
}
