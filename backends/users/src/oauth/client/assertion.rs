//! A proof by a key: a JWT that the client has signed for us (RFC 7523 §3), good for one use.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::Algorithm;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::{Client, OauthError};
use crate::{
    App,
    oauth::{store, token},
    service_account::{self, PublicJwk},
};

/// What a form calls it.
pub(super) const TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// The longest that one may be good. Its `jti` is remembered for as long.
const MAX_LIFETIME: Duration = Duration::minutes(5);
/// Clocks of clients differ from ours.
const LENIENCE: Duration = Duration::seconds(30);
/// The longest `jti`, in bytes.
const MAX_JTI: usize = 255;

#[derive(Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    aud: Audience,
    exp: i64,
    nbf: Option<i64>,
    iat: Option<i64>,
    jti: String,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

/// The client whose assertion this is. It is spent then, whatever becomes of the request.
pub(super) async fn prove(
    app: &App,
    client_id: Option<&str>,
    assertion: &str,
    now: OffsetDateTime,
) -> Result<Client, OauthError> {
    let refused = || OauthError::InvalidClient;
    let claims = read(assertion).ok_or_else(refused)?;
    let id: Uuid = claims.sub.parse().map_err(|_| refused())?;
    let same = claims.iss == claims.sub && client_id.is_none_or(|given| given == claims.sub);
    if !same || !claims.is_for(app.tokens.issuer()) || !claims.holds(now) {
        return Err(refused());
    }
    let keys = service_account::store::jwks(&app.pool, id, now).await?;
    if !is_signed_by(assertion, &keys) {
        return Err(refused());
    }
    let spent = Sha256::new()
        .chain_update(id.as_bytes())
        .chain_update(&claims.jti)
        .finalize();
    let until = now + MAX_LIFETIME + LENIENCE * 2;
    if !store::spend_assertion(&app.pool, &spent.into(), until).await? {
        return Err(refused());
    }
    let client = service_account::store::by_id(&app.pool, id).await?;
    client.ok_or_else(refused)
}

/// What it says, before anybody knows whether it is true.
fn read(assertion: &str) -> Option<Claims> {
    let mut parts = assertion.split('.');
    let (_, claims, _, None) = (parts.next()?, parts.next()?, parts.next()?, parts.next()) else {
        return None;
    };
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(claims).ok()?).ok()
}

impl Claims {
    /// Meant for us and for nobody else: with other names beside ours it could be passed on to us by
    /// whoever was meant as well.
    fn is_for(&self, issuer: &str) -> bool {
        let ours = |aud: &String| {
            aud.strip_prefix(issuer)
                .is_some_and(|rest| rest.is_empty() || rest == token::PATH)
        };
        match &self.aud {
            Audience::One(aud) => ours(aud),
            Audience::Several(all) => !all.is_empty() && all.iter().all(ours),
        }
    }

    fn holds(&self, now: OffsetDateTime) -> bool {
        let at = now.unix_timestamp();
        let latest = at + LENIENCE.whole_seconds();
        at < self.exp
            && self.exp <= latest + MAX_LIFETIME.whole_seconds()
            && self.nbf.is_none_or(|from| from <= latest)
            && self.iat.is_none_or(|from| from <= latest)
            && (1..=MAX_JTI).contains(&self.jti.len())
    }
}

/// Of a header, what matters here.
#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    /// Names what must be understood for it to be believed (RFC 7515 §4.1.11), and we understand none.
    crit: Option<serde_json::Value>,
}

impl Header {
    /// Its algorithm, if that is one of ours. `none` is none of them.
    fn algorithm(&self) -> Option<Algorithm> {
        match self.alg.as_str() {
            // One by two names: RFC 9864 gave it the second.
            "EdDSA" | "Ed25519" => Some(Algorithm::EdDSA),
            "ES256" => Some(Algorithm::ES256),
            _ => None,
        }
    }
}

fn is_signed_by(assertion: &str, keys: &[PublicJwk]) -> bool {
    signature(assertion).is_some_and(|(signed, signature, header, alg)| {
        keys.iter()
            .filter(|key| header.kid.is_none() || key.kid() == header.kid.as_deref())
            .filter(|key| key.algorithm() == alg)
            .filter_map(PublicJwk::decoding)
            .any(|key| {
                let verified =
                    jsonwebtoken::crypto::verify(signature, signed.as_bytes(), &key, alg);
                verified.unwrap_or(false)
            })
    })
}

/// What was signed, the signature, and how it was made.
fn signature(assertion: &str) -> Option<(&str, &str, Header, Algorithm)> {
    let (signed, signature) = assertion.rsplit_once('.')?;
    let (header, _) = signed.split_once('.')?;
    let header: Header =
        serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(header).ok()?).ok()?;
    let alg = header.algorithm().filter(|_| header.crit.is_none())?;
    Some((signed, signature, header, alg))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims(change: serde_json::Value) -> Option<Claims> {
        let mut claims = serde_json::json!({
            "iss": "c", "sub": "c", "aud": "https://a", "exp": 1_300, "jti": "1",
        });
        for (name, value) in change.as_object().expect("an object") {
            claims[name] = value.clone();
        }
        serde_json::from_value(claims).ok()
    }

    #[test]
    fn it_is_for_us_alone() {
        for (aud, good) in [
            (serde_json::json!("https://a"), true),
            (serde_json::json!("https://a/oauth/token"), true),
            (
                serde_json::json!(["https://a", "https://a/oauth/token"]),
                true,
            ),
            (serde_json::json!("https://a/"), false),
            (serde_json::json!("https://ab"), false),
            (serde_json::json!(["https://a", "https://evil"]), false),
            (serde_json::json!([]), false),
        ] {
            let claims = claims(serde_json::json!({ "aud": aud })).expect("claims");
            assert_eq!(claims.is_for("https://a"), good, "{aud}");
        }
    }

    #[test]
    fn it_is_short_lived_and_has_a_name() {
        let now = OffsetDateTime::from_unix_timestamp(1_000).expect("a time");
        for (change, good) in [
            (serde_json::json!({}), true),
            (serde_json::json!({ "exp": 1_000 }), false),
            (serde_json::json!({ "exp": 1_001 }), true),
            (serde_json::json!({ "exp": 1_330 }), true),
            (serde_json::json!({ "exp": 1_331 }), false),
            (serde_json::json!({ "iat": 1_030, "nbf": 1_030 }), true),
            (serde_json::json!({ "iat": 1_031 }), false),
            (serde_json::json!({ "nbf": 1_031 }), false),
            (serde_json::json!({ "jti": "" }), false),
            (serde_json::json!({ "jti": "x".repeat(256) }), false),
        ] {
            let claims = claims(change.clone()).expect("claims");
            assert_eq!(claims.holds(now), good, "{change}");
        }
        for missing in ["exp", "jti", "aud"] {
            assert!(
                claims(serde_json::json!({ missing: null })).is_none(),
                "{missing}"
            );
        }
    }
}
