//! The token that keeps a session alive.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

use crate::key::{Key, Tag};

/// A text to keep secret and to spend once.
// `rt_` and 256 bits. Whatever text a caller brings is taken as one: those that we never gave are
// found nowhere. It has no `Debug`.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
#[schema(value_type = String, max_length = 128)]
pub(crate) struct RefreshToken(String);

impl RefreshToken {
    /// Takes whatever text somebody brings for one.
    pub(crate) fn brought(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// Draws the first token of a family.
    pub(crate) fn random() -> Result<Self, getrandom::Error> {
        let mut bits = [0; 32];
        getrandom::fill(&mut bits)?;
        Ok(Self::from_bits(&bits))
    }

    /// What a browser sent in place of a body.
    pub(super) fn sent(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// The text, for where it is kept.
    pub(super) fn reveal(&self) -> &str {
        &self.0
    }

    /// The token after this one, always the same. Only who holds both this token and the key can
    /// tell it: neither the database nor the key alone gives anybody a session.
    pub(crate) fn successor(&self, key: &Key) -> Self {
        Self::from_bits(&key.tag(&[self.0.as_bytes()]))
    }

    /// What the database knows of the token.
    pub(crate) fn hash(&self) -> Tag {
        Sha256::digest(&self.0).into()
    }

    fn from_bits(bits: &Tag) -> Self {
        Self(format!("rt_{}", BASE64_URL_SAFE_NO_PAD.encode(bits)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_successor_is_always_the_same_and_needs_both_token_and_key() {
        let (key, other_key) = (Key::from_bytes(&[1; 32]), Key::from_bytes(&[2; 32]));
        let (token, other) = (
            RefreshToken::from_bits(&[3; 32]),
            RefreshToken::from_bits(&[4; 32]),
        );

        assert_eq!(token.successor(&key).0, token.successor(&key).0);
        assert_ne!(token.successor(&key).0, token.successor(&other_key).0);
        assert_ne!(token.successor(&key).0, other.successor(&key).0);
        assert_ne!(token.successor(&key).successor(&key).0, token.0);
    }

    #[test]
    fn a_token_is_256_bits_behind_its_prefix() {
        let token = RefreshToken::random().expect("randomness");
        let bits = token.0.strip_prefix("rt_").expect("the prefix");
        assert_eq!(
            BASE64_URL_SAFE_NO_PAD
                .decode(bits)
                .expect("base64url")
                .len(),
            32
        );
        assert_ne!(token.0, RefreshToken::random().expect("randomness").0);
    }
}
