use std::sync::Arc;

use bytes::Bytes;
use jsonwebtoken::DecodingKey;
use plugin_sdk::{Principal, Proof, parse_json};
use serde::Deserialize;

use super::Alg;
use super::jwk::{Jwk, PemError};

/// The most that remembered tokens may take per issuer, in bytes: some 6,000 of the usual size.
const MEMORY_BYTES: u64 = 16 * 1024 * 1024;

/// What remembering a token takes besides its text and claims, in bytes; about.
const ENTRY_BYTES: usize = 512;

/// How many times a token's length its text and claims take together; about.
const ENTRY_TIMES: usize = 4;

/// More keys than this, and a document is none: each unused one costs memory and a search.
const MAX_KEYS: usize = 100;

/// An issuer's keys, and the tokens that were found good under them: with the keys goes the memory.
#[derive(Debug)]
pub(crate) struct KeySet {
    document: Bytes,
    keys: Vec<Key>,
    good: moka::sync::Cache<String, Good>,
}

/// Whom a token is about, and until when that holds, in Unix seconds.
#[derive(Debug, Clone)]
pub(crate) struct Good {
    pub(crate) who: Arc<Principal>,
    pub(crate) proof: Arc<Proof>,
    pub(crate) until: i64,
}

#[derive(Debug)]
struct Key {
    kid: Option<String>,
    /// Whether the operator named this very key, so that a token need not.
    named: bool,
    algs: Vec<Alg>,
    key: DecodingKey,
}

/// Why a document gives no keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum KeySetError {
    #[error("it is no JSON Web Key Set (RFC 7517 §5)")]
    Malformed,
    #[error("none of its keys goes with the algorithms named")]
    NoUse,
    #[error("it has more than {MAX_KEYS} keys")]
    TooMany,
    #[error(transparent)]
    Pem(#[from] PemError),
}

impl KeySet {
    /// Reads a JWKS document. Keys that are for something else, or malformed, are passed over:
    /// an issuer may publish what we don't know yet.
    pub(super) fn parse(document: Bytes, algs: &[Alg]) -> Result<Self, KeySetError> {
        let mut value = parse_json(&document, 8).map_err(|_| KeySetError::Malformed)?;
        let keys = value["keys"].take();
        let keys = keys.as_array().ok_or(KeySetError::Malformed)?;
        if keys.len() > MAX_KEYS {
            return Err(KeySetError::TooMany);
        }
        let keys = keys
            .iter()
            .filter_map(|key| Key::read(&Jwk::deserialize(key).ok()?, algs, false))
            .collect();
        Self::of(document, keys)
    }

    /// Reads files that the operator named, of one public key each: PEM or a JWK.
    pub(super) fn named(documents: &[Vec<u8>], algs: &[Alg]) -> Result<Self, (usize, KeySetError)> {
        let read = |document: &Vec<u8>| {
            let key = match parse_json(document, 8) {
                Ok(jwk) => Jwk::deserialize(&jwk).map_err(|_| KeySetError::Malformed)?,
                Err(_) => Jwk::from_pem(document)?,
            };
            if key.d.is_some() {
                return Err(PemError::Private.into());
            }
            Key::read(&key, algs, true).ok_or(KeySetError::NoUse)
        };
        let keys = documents.iter().enumerate();
        let keys = keys.map(|(index, document)| read(document).map_err(|error| (index, error)));
        let keys = keys.collect::<Result<Vec<_>, _>>()?;
        Self::of(Bytes::new(), keys).map_err(|error| (0, error))
    }

    /// One secret that is shared with the issuer.
    pub(super) fn shared(secret: &[u8], algs: &[Alg]) -> Self {
        let key = Key {
            kid: None,
            named: true,
            algs: algs.to_vec(),
            key: DecodingKey::from_secret(secret),
        };
        Self::with(Bytes::new(), vec![key])
    }

    fn of(document: Bytes, keys: Vec<Key>) -> Result<Self, KeySetError> {
        match keys.is_empty() {
            true => Err(KeySetError::NoUse),
            false => Ok(Self::with(document, keys)),
        }
    }

    fn with(document: Bytes, keys: Vec<Key>) -> Self {
        let good = moka::sync::Cache::builder()
            .weigher(|token: &String, _| {
                let bytes = token.len() * ENTRY_TIMES + ENTRY_BYTES;
                u32::try_from(bytes).unwrap_or(u32::MAX)
            })
            .max_capacity(MEMORY_BYTES)
            .build();
        Self {
            document,
            keys,
            good,
        }
    }

    /// Whether it was read from this very document.
    pub(super) fn is_from(&self, document: &Bytes) -> bool {
        self.document == document
    }

    /// The keys that may have signed: the one of that id which goes with the algorithm; without an
    /// id, the only one that does. Of a document's keys several never would: guessing costs a
    /// signature check each. The few that an operator named without ids are all tried.
    pub(crate) fn find(&self, kid: Option<&str>, alg: Alg) -> Vec<&DecodingKey> {
        let fitting = || self.keys.iter().filter(|key| key.algs.contains(&alg));
        let called: Vec<_> = fitting()
            .filter(|key| kid.is_none() || key.kid.as_deref() == kid)
            .collect();
        match called[..] {
            [key] => vec![&key.key],
            _ => fitting()
                .filter(|key| key.named && key.kid.is_none())
                .map(|key| &key.key)
                .collect(),
        }
    }

    /// Whom a token is about, if it was found good before and still holds. Compares all of it.
    pub(super) fn recall(&self, token: &str, now: i64) -> Option<Good> {
        let good = self.good.get(token)?;
        (now < good.until).then_some(good)
    }

    pub(super) fn remember(&self, token: &str, good: Good) {
        self.good.insert(token.to_owned(), good);
    }
}

impl Key {
    /// The key, if one of the algorithms can use it.
    fn read(jwk: &Jwk, algs: &[Alg], named: bool) -> Option<Self> {
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
            kid: jwk.kid.clone(),
            named,
            algs,
            key,
        })
    }
}
