use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use jsonwebtoken::DecodingKey;
use plugin_sdk::{Principal, parse_json};
use serde::Deserialize;

use super::Alg;

/// The most that remembered tokens may take per issuer, in bytes: some 15,000 of the usual size.
const MEMORY_BYTES: u64 = 16 * 1024 * 1024;

/// What remembering a token takes besides its text, in bytes; about.
const ENTRY_BYTES: usize = 512;

/// An RSA key of fewer bits is no key.
const MIN_RSA_BYTES: usize = 256;

/// An issuer's keys, and the tokens that were found good under them: with the keys goes the memory.
#[derive(Debug)]
pub(super) struct KeySet {
    document: Bytes,
    keys: Vec<Key>,
    good: moka::sync::Cache<String, Good>,
}

/// Whom a token is about, until when.
#[derive(Debug, Clone)]
struct Good {
    who: Arc<Principal>,
    until: i64,
}

#[derive(Debug)]
struct Key {
    kid: Option<String>,
    algs: Vec<Alg>,
    key: DecodingKey,
}

/// Why a document gives no keys.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum KeySetError {
    #[error("it is no JSON Web Key Set (RFC 7517 §5)")]
    Malformed,
    #[error("none of its keys goes with the algorithms named")]
    NoUse,
}

/// A key as RFC 7517, 7518 and 8037 write it, as far as we look.
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    key_ops: Option<Vec<String>>,
    crv: Option<String>,
    #[serde(default)]
    x: String,
    #[serde(default)]
    y: String,
    #[serde(default)]
    n: String,
    #[serde(default)]
    e: String,
}

impl KeySet {
    /// Reads a JWKS document. Keys that are for something else, or malformed, are passed over:
    /// an issuer may publish what we don't know yet.
    pub(super) fn parse(document: Bytes, algs: &[Alg]) -> Result<Self, KeySetError> {
        let mut value = parse_json(&document, 8).map_err(|_| KeySetError::Malformed)?;
        let keys = value["keys"].take();
        let keys = keys.as_array().ok_or(KeySetError::Malformed)?;
        let keys: Vec<Key> = keys
            .iter()
            .filter_map(|key| Key::read(Jwk::deserialize(key).ok()?, algs))
            .collect();
        if keys.is_empty() {
            return Err(KeySetError::NoUse);
        }
        Ok(Self {
            document,
            keys,
            good: moka::sync::Cache::builder()
                .weigher(|token: &String, _| {
                    u32::try_from(token.len() + ENTRY_BYTES).unwrap_or(u32::MAX)
                })
                .max_capacity(MEMORY_BYTES)
                .build(),
        })
    }

    /// Whether it was read from this very document.
    pub(super) fn is_from(&self, document: &Bytes) -> bool {
        self.document == document
    }

    /// The key of that id which goes with the algorithm; without an id, the only one that does.
    /// Where several would do, none does: guessing costs a signature check each.
    pub(super) fn find(&self, kid: Option<&str>, alg: Alg) -> Option<&DecodingKey> {
        let mut fitting = self
            .keys
            .iter()
            .filter(|key| key.algs.contains(&alg) && (kid.is_none() || key.kid.as_deref() == kid));
        let key = fitting.next()?;
        fitting.next().is_none().then_some(&key.key)
    }

    /// Whom a token is about, if it was found good before and still holds. Compares all of it.
    pub(super) fn recall(&self, token: &str, now: i64) -> Option<Arc<Principal>> {
        let good = self.good.get(token)?;
        (now < good.until).then_some(good.who)
    }

    pub(super) fn remember(&self, token: &str, who: Arc<Principal>, until: i64) {
        self.good.insert(token.to_owned(), Good { who, until });
    }
}

impl Key {
    /// The key, if one of the algorithms can use it.
    fn read(jwk: Jwk, algs: &[Alg]) -> Option<Self> {
        let to_sign = jwk.usage.as_deref().is_none_or(|usage| usage == "sig");
        let to_verify = jwk
            .key_ops
            .as_ref()
            .is_none_or(|ops| ops.iter().any(|op| op == "verify"));
        if !to_sign || !to_verify {
            return None;
        }
        let key = jwk.key()?;
        let mut algs = algs.to_vec();
        algs.retain(|alg| {
            let (kty, crv) = alg.kind();
            jwk.kty == kty
                && (crv.is_none() || jwk.crv.as_deref() == crv)
                && jwk.alg.as_ref().is_none_or(|named| Alg::named(named) == Some(*alg))
                // Finds out now whether the point is on the curve, with a signature of nothing.
                && jsonwebtoken::crypto::verify("", b"", &key, alg.algorithm()).is_ok()
        });
        (!algs.is_empty()).then_some(Self {
            kid: jwk.kid,
            algs,
            key,
        })
    }
}

impl Jwk {
    /// Lengths are checked here: the crate that verifies cuts a long Ed25519 key and panics at a
    /// short one.
    fn key(&self) -> Option<DecodingKey> {
        match (self.kty.as_str(), self.crv.as_deref()) {
            ("OKP", Some("Ed25519")) if bytes(&self.x)? == 32 => {
                DecodingKey::from_ed_components(&self.x).ok()
            }
            ("EC", Some(crv @ ("P-256" | "P-384"))) => {
                let size = if crv == "P-256" { 32 } else { 48 };
                let fits = bytes(&self.x)? == size && bytes(&self.y)? == size;
                fits.then(|| DecodingKey::from_ec_components(&self.x, &self.y).ok())?
            }
            ("RSA", _) if bytes(&self.n)? >= MIN_RSA_BYTES => {
                DecodingKey::from_rsa_components(&self.n, &self.e).ok()
            }
            _ => None,
        }
    }
}

/// The length of what a base64url text holds.
fn bytes(text: &str) -> Option<usize> {
    URL_SAFE_NO_PAD.decode(text).ok().map(|bytes| bytes.len())
}
