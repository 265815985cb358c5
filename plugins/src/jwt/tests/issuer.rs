use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::{Signer, SigningKey};

use super::*;

/// What the stopped clock says at first.
pub(super) const NOW: i64 = 1_767_225_600;

/// Somebody who signs tokens.
pub(super) struct Issuer {
    pub(super) kid: &'static str,
    key: SigningKey,
}

impl Issuer {
    pub(super) fn new(kid: &'static str, seed: u8) -> Self {
        let key = SigningKey::from_bytes(&[seed; 32]);
        Self { kid, key }
    }

    /// The public key, raw.
    pub(super) fn public(&self) -> [u8; 32] {
        *self.key.verifying_key().as_bytes()
    }

    /// A token that is signed with a secret instead.
    pub(super) fn token_shared(&self, alg: &str, secret: &[u8]) -> String {
        let header = json!({ "alg": alg, "typ": "at+jwt" }).to_string();
        let claims = self.claims(json!({})).to_string();
        let signed = format!(
            "{}.{}",
            encode(header.as_bytes()),
            encode(claims.as_bytes())
        );
        let alg = Alg::named(alg).expect("an algorithm").algorithm();
        let key = jsonwebtoken::EncodingKey::from_secret(secret);
        let signature = jsonwebtoken::crypto::sign(signed.as_bytes(), &key, alg);
        format!("{signed}.{}", signature.expect("a signature"))
    }

    pub(super) fn jwk(&self) -> Value {
        let x = encode(self.key.verifying_key().as_bytes());
        json!({ "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": self.kid, "x": x })
    }

    pub(super) fn jwks(&self) -> Value {
        json!({ "keys": [self.jwk()] })
    }

    pub(super) fn header(&self) -> Value {
        json!({ "alg": "EdDSA", "typ": "at+jwt", "kid": self.kid })
    }

    /// Claims that are good, with some of them changed; `null` takes one away.
    pub(super) fn claims(&self, changes: Value) -> Value {
        let mut claims = json!({
            "iss": ISSUER, "aud": "api", "sub": "u1", "iat": NOW, "exp": NOW + 300, "jti": "j1",
        });
        merge(&mut claims, changes);
        claims
    }

    pub(super) fn token(&self, changes: Value) -> String {
        let claims = self.claims(changes).to_string();
        self.sign(&self.header().to_string(), &claims)
    }

    pub(super) fn token_headed(&self, changes: Value) -> String {
        let mut header = self.header();
        merge(&mut header, changes);
        self.sign(&header.to_string(), &self.claims(json!({})).to_string())
    }

    /// Signs whatever it is.
    pub(super) fn sign(&self, header: &str, claims: &str) -> String {
        let signed = format!(
            "{}.{}",
            encode(header.as_bytes()),
            encode(claims.as_bytes())
        );
        let signature = self.key.sign(signed.as_bytes());
        format!("{signed}.{}", encode(&signature.to_bytes()))
    }

    /// A plugin that holds these keys, as the configuration has it otherwise.
    pub(super) fn trusted_by(&self, config: Value, env: &Env, set: KeySet) -> Plugin {
        let config: Config = serde_json::from_value(config).expect("a configuration");
        Plugin {
            way: "user".into(),
            policy: config.policy().expect("a policy"),
            algs: config.algs,
            types: config.typ,
            keys: Arc::new(Keys::fixed(set)),
            clock: env.clock.clone(),
        }
    }
}

pub(super) fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

pub(super) fn merge(object: &mut Value, changes: Value) {
    let object = object.as_object_mut().expect("an object");
    for (name, value) in changes.as_object().expect("an object") {
        match value {
            Value::Null => drop(object.remove(name)),
            value => drop(object.insert(name.clone(), value.clone())),
        }
    }
}
