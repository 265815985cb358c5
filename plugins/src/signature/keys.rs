//! Whose signatures are believed.

use std::collections::HashMap;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature, VerifyingKey};
use hmac::{Hmac, Mac};
use plugin_sdk::{BuildError, Env, Principal, parse_json};
use serde::Deserialize;
use sha2::Sha256;

/// A shorter secret than this could be guessed from what was signed with it, in bytes.
const MIN_SECRET_BYTES: usize = 32;

/// The file nests no deeper than this.
const MAX_DEPTH: usize = 8;

/// The keys by their ids.
pub(super) struct Keys(HashMap<String, Known>);

/// A key, and who signs with it.
pub(super) struct Known {
    pub(super) id: Arc<str>,
    pub(super) who: Arc<Principal>,
    key: Key,
}

enum Key {
    Hmac(Hmac<Sha256>),
    Ed25519(Box<VerifyingKey>),
}

/// A key as the file says it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    alg: String,
    secret: Option<String>,
    public_key: Option<String>,
    sub: String,
    #[serde(default)]
    roles: Vec<String>,
    #[serde(default)]
    scopes: Vec<String>,
}

impl Keys {
    /// Reads the file that the configuration names. No message shows a secret.
    pub(super) fn read(reference: &str, env: &Env) -> Result<Self, BuildError> {
        let Some(path) = reference.strip_prefix("$file:") else {
            return Err(BuildError::new("keys", "is no file").hint("write `$file:` and its path"));
        };
        let path = env.path(path);
        let fault = |why: String| BuildError::new("keys", format!("{}: {why}", path.display()));
        let text = std::fs::read(&path).map_err(|error| fault(error.to_string()))?;
        Self::parse(&text).map_err(fault)
    }

    pub(super) fn parse(text: &[u8]) -> Result<Self, String> {
        let json = parse_json(text, MAX_DEPTH).map_err(|error| format!("is no JSON: {error}"))?;
        let serde_json::Value::Object(entries) = json else {
            return Err("is no JSON object of keys by their ids".to_owned());
        };
        if entries.is_empty() {
            return Err("there is no key in it".to_owned());
        }
        let keys = entries.into_iter().map(|(id, entry)| {
            let known = Known::parse(&id, entry).map_err(|why| format!("the key `{id}` {why}"))?;
            Ok((id, known))
        });
        Ok(Self(keys.collect::<Result<_, String>>()?))
    }

    pub(super) fn find(&self, id: &str) -> Option<&Known> {
        self.0.get(id)
    }
}

impl Known {
    fn parse(id: &str, entry: serde_json::Value) -> Result<Self, &'static str> {
        // serde would quote what it did not expect, and that may be the secret.
        let written: Written = serde_json::from_value(entry)
            .map_err(|_| "is not written as `{ alg, secret or public_key, sub, roles, scopes }`")?;
        let plain = |text: &str| !text.is_empty() && !text.chars().any(char::is_control);
        let words = [&written.roles, &written.scopes].into_iter().flatten();
        if !plain(&written.sub) || !words.into_iter().all(|word| plain(word)) {
            return Err("has an empty `sub`, role or scope, or one with control characters");
        }
        let bytes = |text: &str| STANDARD.decode(text).map_err(|_| "is not in base64");
        let key = match (written.alg.as_str(), &written.secret, &written.public_key) {
            ("hmac-sha256", Some(secret), None) => {
                let secret = bytes(secret)?;
                if secret.len() < MIN_SECRET_BYTES {
                    return Err("has a secret of less than 32 bytes (`openssl rand -base64 32`)");
                }
                Key::Hmac(Hmac::new_from_slice(&secret).expect("HMAC takes keys of any length"))
            }
            ("ed25519", None, Some(key)) => {
                let key = bytes(key)?.try_into().ok();
                let key = key.and_then(|key| VerifyingKey::from_bytes(&key).ok());
                // Of a weak key anybody can make signatures that hold.
                let key = key.filter(|key| !key.is_weak());
                Key::Ed25519(Box::new(key.ok_or("has a public key that is none")?))
            }
            _ => {
                return Err(
                    "is neither `hmac-sha256` with a `secret` nor `ed25519` with a `public_key`",
                );
            }
        };
        Ok(Self {
            id: id.into(),
            who: Arc::new(Principal {
                sub: written.sub,
                roles: written.roles,
                scopes: written.scopes,
                ..Principal::default()
            }),
            key,
        })
    }

    /// The algorithm's name (RFC 9421 §6.2).
    pub(super) fn alg(&self) -> &'static str {
        match self.key {
            Key::Hmac(_) => "hmac-sha256",
            Key::Ed25519(_) => "ed25519",
        }
    }

    /// Whether the signature is this key's, compared in constant time.
    pub(super) fn verify(&self, base: &[u8], signature: &[u8]) -> bool {
        match &self.key {
            Key::Hmac(mac) => {
                let mac = mac.clone().chain_update(base);
                mac.verify_slice(signature).is_ok()
            }
            Key::Ed25519(key) => Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify_strict(base, &signature).is_ok()),
        }
    }
}
