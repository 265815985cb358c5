//! The one secret key of the operator, and the keys we make of it.

use hmac::{Hmac, Mac};
use sha2::Sha256;

/// What a key makes of a message: HMAC-SHA256.
pub(crate) type Tag = [u8; 32];

/// A key for HMAC-SHA256.
#[derive(Clone)]
pub(crate) struct Key(Hmac<Sha256>);

impl Key {
    pub(crate) fn from_bytes(bytes: &[u8]) -> Self {
        Self(Hmac::new_from_slice(bytes).expect("HMAC takes keys of any length"))
    }

    /// Makes a key for one purpose, so that what one purpose reveals serves no other.
    pub(crate) fn derive(&self, purpose: &str) -> Self {
        Self::from_bytes(&self.tag(&[purpose.as_bytes()]))
    }

    /// The tag of `parts` in a row. All parts but the last must have a fixed length: the borders
    /// leave no trace.
    pub(crate) fn tag(&self, parts: &[&[u8]]) -> Tag {
        parts
            .iter()
            .fold(self.0.clone(), |mac, part| mac.chain_update(part))
            .finalize()
            .into_bytes()
            .into()
    }
}
