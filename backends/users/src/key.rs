//! The one secret key of the operator, and the keys we make of it.

use hmac::{Hmac, Mac};
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use sha2::Sha256;

/// What a key makes of a message: HMAC-SHA256.
pub(crate) type Tag = [u8; 32];

/// A key for HMAC-SHA256, and for sealing.
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

    /// Seals what must be readable again (ChaCha20-Poly1305): the nonce, then the text and its tag.
    /// `aad` says what it belongs to, a row's id for one, so that it opens nowhere else.
    pub(crate) fn seal(&self, aad: &[u8], plain: &[u8]) -> Result<Vec<u8>, getrandom::Error> {
        // Drawn, not counted: replicas share the key and no counter. 96 bits are plenty for the
        // few things that are sealed.
        let mut nonce = [0; NONCE_LEN];
        getrandom::fill(&mut nonce)?;
        let mut text = plain.to_vec();
        self.aead()
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(aad),
                &mut text,
            )
            .expect("it is shorter than 256 GiB");
        Ok([&nonce[..], &text].concat())
    }

    /// What was sealed with this key and the same `aad`; none if it was not, or was touched.
    pub(crate) fn open(&self, aad: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, text) = sealed.split_first_chunk::<NONCE_LEN>()?;
        let mut text = text.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let plain = self
            .aead()
            .open_in_place(nonce, Aad::from(aad), &mut text)
            .ok()?;
        Some(plain.to_vec())
    }

    fn aead(&self) -> LessSafeKey {
        let bytes = self.tag(&[b"sealing"]);
        LessSafeKey::new(
            UnboundKey::new(&CHACHA20_POLY1305, &bytes).expect("a tag is as long as a key"),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_is_opened_by_the_same_key_for_the_same_purpose_and_untouched() {
        let key = Key::from_bytes(&[1; 32]);
        let sealed = key.seal(b"row 7", b"hush").expect("randomness");
        assert_eq!(key.open(b"row 7", &sealed).as_deref(), Some(&b"hush"[..]));
        assert_eq!(key.open(b"row 8", &sealed), None);
        assert_eq!(key.derive("another").open(b"row 7", &sealed), None);
        for byte in 0..sealed.len() {
            let mut touched = sealed.clone();
            touched[byte] ^= 1;
            assert_eq!(key.open(b"row 7", &touched), None, "{byte}");
            assert_eq!(key.open(b"row 7", &sealed[..byte]), None, "{byte}");
        }
        let again = key.seal(b"row 7", b"hush").expect("randomness");
        assert_ne!(sealed, again, "nobody sees that two secrets are the same");
    }
}
