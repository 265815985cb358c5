use std::fmt;

use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};

/// The keys of a deployment: the first seals, all of them open, so that a key is rotated by
/// putting the new one first and taking the old one away a minute later.
pub struct KeyRing {
    pub(crate) keys: Vec<Key>,
}

pub(crate) struct Key {
    /// The first 8 hex digits of the key's SHA-256: names the key and tells nothing of it.
    pub(crate) id: String,
    pub(crate) mac: Hmac<Sha256>,
}

/// Why a key file was refused. The file's text never gets into the message.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// No line holds a key.
    #[error("no key in it: expected one key a line, 64 hex digits each (`openssl rand -hex 32`)")]
    Empty,
    /// A line is not a key.
    #[error("line {line}: expected 64 hex digits (`openssl rand -hex 32`)")]
    Malformed {
        /// Counted from 1.
        line: usize,
    },
}

impl KeyRing {
    /// Reads a key file: one key a line, 64 hex digits (32 bytes) each; empty lines don't count.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let mut keys = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() {
                continue;
            }
            keys.push(Key::new(
                &unhex(line).ok_or(KeyError::Malformed { line: index + 1 })?,
            ));
        }
        if keys.is_empty() {
            return Err(KeyError::Empty);
        }
        Ok(Self { keys })
    }
}

impl Key {
    fn new(bytes: &[u8; 32]) -> Self {
        let digest = Sha256::digest(bytes);
        Self {
            id: digest[..4].iter().map(|b| format!("{b:02x}")).collect(),
            mac: Hmac::new_from_slice(bytes).expect("HMAC takes a key of any length"),
        }
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.keys.iter().map(|key| &key.id))
            .finish()
    }
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let digits = text.as_bytes();
    if digits.len() != 64 {
        return None;
    }
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let high = (pair[0] as char).to_digit(16)?;
        let low = (pair[1] as char).to_digit(16)?;
        *byte = u8::try_from(high * 16 + low).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_line_is_named_and_not_shown() {
        let text = format!("{}\n\n{}zz\n", "0a".repeat(32), "0b".repeat(31));
        assert_eq!(
            KeyRing::parse(&text).map(|_| ()),
            Err(KeyError::Malformed { line: 3 })
        );
        assert_eq!(KeyRing::parse("\n \n").map(|_| ()), Err(KeyError::Empty));
        assert_eq!(
            KeyRing::parse(&"é".repeat(32)).map(|_| ()),
            Err(KeyError::Malformed { line: 1 })
        );
    }

    #[test]
    fn debug_shows_ids_only() {
        let ring = KeyRing::parse(&"0a".repeat(32)).expect("a key");
        assert_eq!(format!("{ring:?}").len(), "[\"01234567\"]".len());
    }
}
