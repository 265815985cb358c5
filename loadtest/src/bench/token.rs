//! Access tokens of an issuer that only the bench has, and the keys that prove them.

use std::time::{Duration, SystemTime};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ed25519_dalek::{Signer, SigningKey};
use serde_json::{Value, json};

pub(crate) const ISSUER: &str = "https://bench.example";
pub(crate) const AUDIENCE: &str = "bench";

/// An issuer. Its key comes from a number: it guards nothing.
pub(crate) struct Issuer(SigningKey);

impl Issuer {
    pub(crate) fn new(number: u8) -> Self {
        Self(SigningKey::from_bytes(&[number; 32]))
    }

    /// A token for the n-th user, good for an hour.
    pub(crate) fn token(&self, user: u32) -> String {
        let now = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or(Duration::ZERO);
        let claims = json!({
            "iss": ISSUER, "aud": AUDIENCE, "sub": user_id(user), "roles": ["user"],
            "sid": user_id(user), "jti": user_id(user),
            "iat": now.as_secs(), "exp": now.as_secs() + 3_600,
        });
        let head = json!({ "alg": "EdDSA", "typ": "at+jwt", "kid": "bench" });
        let signed = format!("{}.{}", encode(&head), encode(&claims));
        let signature = self.0.sign(signed.as_bytes()).to_bytes();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// The document that tells its public key.
    pub(crate) fn jwks(&self) -> String {
        let x = URL_SAFE_NO_PAD.encode(self.0.verifying_key().as_bytes());
        let key = json!({ "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": "bench", "x": x });
        json!({ "keys": [key] }).to_string()
    }
}

/// The subject of the n-th user's tokens.
pub(crate) fn user_id(user: u32) -> String {
    format!("01890000-0000-7000-8000-{user:012}")
}

fn encode(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}
