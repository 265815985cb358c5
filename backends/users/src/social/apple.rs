//! What Apple does its own way: the client secret is a JWT that we sign, the browser comes back with
//! a form, and the name is told once.

use anyhow::Context;
use host::Secret;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::Deserialize;
use serde_json::json;
use time::{Duration, OffsetDateTime};

/// Apple takes up to six months. A secret is made for each request, so it lives as long as one.
const SECRET_LIFETIME: Duration = Duration::minutes(5);

/// Signs client secrets.
pub(super) struct Signer {
    team_id: String,
    key_id: String,
    key: EncodingKey,
}

impl Signer {
    pub(super) fn new(team_id: String, key_id: String, pem: &Secret) -> anyhow::Result<Self> {
        let key = EncodingKey::from_ec_pem(pem.reveal().as_bytes())
            .context("the key is no P-256 key in PKCS#8 PEM")?;
        let signer = Self {
            team_id,
            key_id,
            key,
        };
        // A key of another curve is read, and found out only when it signs.
        signer
            .sign("", "", OffsetDateTime::UNIX_EPOCH)
            .context("the key does not sign with ES256")?;
        Ok(signer)
    }

    /// What proves to `issuer` that we are `client_id`.
    pub(super) fn secret(&self, client_id: &str, issuer: &str, now: OffsetDateTime) -> String {
        self.sign(client_id, issuer, now)
            .expect("the key signs: tried in `new`")
    }

    fn sign(
        &self,
        client_id: &str,
        issuer: &str,
        now: OffsetDateTime,
    ) -> jsonwebtoken::errors::Result<String> {
        let header = Header {
            kid: Some(self.key_id.clone()),
            ..Header::new(Algorithm::ES256)
        };
        let claims = json!({
            "iss": self.team_id,
            "iat": now.unix_timestamp(),
            "exp": (now + SECRET_LIFETIME).unix_timestamp(),
            "aud": issuer,
            "sub": client_id,
        });
        jsonwebtoken::encode(&header, &claims, &self.key)
    }
}

/// The name in the field `user` of Apple's form. The browser brings it, so it is worth no more than
/// what somebody types into a form: an address beside it is not even read.
pub(super) fn name(user: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct User {
        name: Name,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Name {
        #[serde(default)]
        first_name: String,
        #[serde(default)]
        last_name: String,
    }
    let User { name } = serde_json::from_str(user).ok()?;
    Some(format!("{} {}", name.first_name, name.last_name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_all_that_is_read_of_the_form() {
        for (user, read) in [
            (
                r#"{"name":{"firstName":"Ann","lastName":"Lee"},"email":"victim@example.com"}"#,
                Some("Ann Lee"),
            ),
            (r#"{"name":{"lastName":"Lee"}}"#, Some(" Lee")),
            (r#"{"email":"victim@example.com"}"#, None),
            ("", None),
            ("[]", None),
        ] {
            assert_eq!(name(user).as_deref(), read, "{user}");
        }
    }
}
