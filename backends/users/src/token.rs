//! Access tokens: who somebody is, for five minutes, as a JWT of type `at+jwt` (RFC 9068) signed
//! with Ed25519.

use std::sync::Arc;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::{
    account::Account,
    factor::{self, Factor},
    oauth::client::Client,
    signing_key::{Keys, NoSigningKey},
};

/// How long an access token is good for: no longer than it may take until a demotion is felt
/// everywhere.
pub(crate) const LIFETIME: Duration = Duration::seconds(300);

/// Issues access tokens.
pub(crate) struct TokenSigner {
    keys: Arc<Keys>,
    issuer: String,
    audience: String,
}

/// A key, and what is the same in every token that it signs.
pub(crate) struct Signer {
    key: SigningKey,
    kid: String,
    /// The first part of each token, encoded once.
    header: String,
}

/// Whom a token is about.
pub(crate) struct Subject<'a> {
    pub(crate) account: &'a Account,
    pub(crate) session_id: Uuid,
    /// How they proved who they are.
    pub(crate) proven: &'a [Factor],
    /// When they last did.
    pub(crate) auth_time: OffsetDateTime,
}

/// A key's name: its thumbprint (RFC 7638), so that one key has the same name wherever it is used.
pub(crate) fn key_id(key: &SigningKey) -> String {
    let canonical = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, public_x(key));
    BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(canonical))
}

/// The public half of a key, as JWKs say it.
pub(crate) fn public_x(key: &SigningKey) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(key.verifying_key())
}

impl Signer {
    pub(crate) fn new(key: SigningKey) -> Self {
        let kid = key_id(&key);
        let header = encode(&json!({ "typ": "at+jwt", "alg": "EdDSA", "kid": kid }));
        Self { key, kid, header }
    }

    pub(crate) fn kid(&self) -> &str {
        &self.kid
    }

    /// The public half, as JWKs say it.
    pub(crate) fn public_x(&self) -> String {
        public_x(&self.key)
    }

    /// The public half.
    pub(crate) fn verifying_key(&self) -> VerifyingKey {
        self.key.verifying_key()
    }

    /// Reads a token that this key has signed.
    pub(crate) fn read(&self, token: &str) -> Option<Value> {
        let (signed, signature) = token.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        // Its own header to the letter: what else there may be in one is not looked at.
        if header != self.header {
            return None;
        }
        let signature = BASE64_URL_SAFE_NO_PAD.decode(signature).ok()?;
        let signature = Signature::from_slice(&signature).ok()?;
        let key = self.key.verifying_key();
        key.verify_strict(signed.as_bytes(), &signature).ok()?;
        serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(claims).ok()?).ok()
    }

    /// Makes an access token of claims.
    pub(crate) fn token(&self, claims: &Value) -> String {
        self.signed(&self.header, claims)
    }

    /// Signs something else than a token: a JWT of another type, as a compact JWS.
    pub(crate) fn sign(&self, typ: &str, claims: &impl Serialize) -> String {
        let header = encode(&json!({ "typ": typ, "alg": "EdDSA", "kid": self.kid }));
        self.signed(&header, claims)
    }

    fn signed(&self, header: &str, claims: &impl Serialize) -> String {
        let signed = format!("{header}.{}", encode(claims));
        let signature = BASE64_URL_SAFE_NO_PAD.encode(self.key.sign(signed.as_bytes()).to_bytes());
        format!("{signed}.{signature}")
    }
}

impl TokenSigner {
    pub(crate) fn new(keys: Arc<Keys>, issuer: String, audience: String) -> Self {
        Self {
            keys,
            issuer,
            audience,
        }
    }

    /// Who issues them: where all that is described about us begins.
    pub(crate) fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The keys that it signs with.
    pub(crate) fn keys(&self) -> &Arc<Keys> {
        &self.keys
    }

    /// Issues a token that is good from now on for [`LIFETIME`].
    pub(crate) fn issue(
        &self,
        subject: &Subject<'_>,
        now: OffsetDateTime,
    ) -> Result<String, NoSigningKey> {
        let Subject {
            account,
            session_id,
            proven,
            auth_time,
        } = subject;
        let claims = json!({
            "iss": self.issuer,
            "aud": self.audience,
            "sub": account.id,
            "sid": session_id,
            "jti": Uuid::new_v4(),
            "iat": now.unix_timestamp(),
            "exp": (now + LIFETIME).unix_timestamp(),
            "auth_time": auth_time.unix_timestamp(),
            "amr": factor::amr(proven),
            "acr": factor::acr(proven),
            "roles": account.roles(now),
            "perm_ver": account.perm_ver,
        });
        Ok(self.keys.signer(now)?.token(&claims))
    }

    /// Issues a token to a service account, which acts for itself and for as long.
    pub(crate) fn issue_to_client(
        &self,
        client: &Client,
        now: OffsetDateTime,
    ) -> Result<String, NoSigningKey> {
        let claims = json!({
            "iss": self.issuer,
            "aud": self.audience,
            "sub": client.id,
            "client_id": client.id,
            "jti": Uuid::new_v4(),
            "iat": now.unix_timestamp(),
            "exp": (now + LIFETIME).unix_timestamp(),
            "scope": client.scopes.join(" "),
            "roles": client.roles,
        });
        Ok(self.keys.signer(now)?.token(&claims))
    }

    /// What a token of ours says that is good now, as far as it can tell by itself; none of anything
    /// else.
    pub(crate) fn open(&self, token: &str, now: OffsetDateTime) -> Option<Value> {
        let claims = self.keys.read(token)?;
        let ours = claims["iss"] == self.issuer && claims["aud"] == self.audience;
        let lives = claims["exp"].as_i64()? > now.unix_timestamp();
        (ours && lives).then_some(claims)
    }
}

fn encode(part: &impl Serialize) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(serde_json::to_vec(part).expect("JSON values serialise"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 8037, appendix A.
    #[test]
    fn a_key_is_named_by_its_thumbprint() {
        let seed = BASE64_URL_SAFE_NO_PAD
            .decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A")
            .expect("base64url");
        let key = SigningKey::from_bytes(&seed.try_into().expect("32 bytes"));
        assert_eq!(
            public_x(&key),
            "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
        );
        assert_eq!(key_id(&key), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    }
}
