//! What counts as a password, which ones may be chosen, and how they are kept.

mod breached;
pub(crate) mod check;
mod hasher;
mod judge;
mod kept;
mod leaked;
mod queue;

use std::fmt;

use serde::Deserialize;
use thiserror::Error;
use unicode_normalization::UnicodeNormalization;

pub(crate) use breached::BreachedFile;
pub(crate) use hasher::{Check, Hasher, HasherError};
pub(crate) use judge::{Judge, Unfit};
pub(crate) use kept::Imported;
pub(crate) use queue::Queue;

/// What fits into a hash. Longer ones are refused, never cut: a hash of the first bytes only would
/// open to everything that begins alike.
const MAX_BYTES: usize = 1024;
/// Characters, as people count them.
const MIN_CHARS: usize = 8;

/// A password as typed, in Unicode's composed form (NFC), so that it is the same one from every
/// keyboard. It has no `Debug` that shows it, and no `Serialize` at all.
#[derive(Clone, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Password(String);

/// The text can't be a password at all, be it right or wrong.
#[derive(Debug, PartialEq, Eq, Error)]
#[error("a password has at most {MAX_BYTES} bytes")]
pub(crate) struct TooLong;

impl Password {
    pub(crate) fn parse(text: &str) -> Result<Self, TooLong> {
        // Before normalising, so that the work is bounded; after it, because NFC may grow.
        let fits = |text: &str| {
            if text.len() <= MAX_BYTES {
                Ok(())
            } else {
                Err(TooLong)
            }
        };
        fits(text)?;
        let composed: String = text.nfc().collect();
        fits(&composed)?;
        Ok(Self(composed))
    }

    fn bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// In lower case: capitals make no password another one to who guesses.
    fn folded(&self) -> String {
        self.0.to_lowercase()
    }
}

impl TryFrom<String> for Password {
    type Error = TooLong;

    fn try_from(text: String) -> Result<Self, TooLong> {
        Self::parse(&text)
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_password_typed_on_two_keyboards_is_one_password() {
        let composed = Password::parse("caf\u{e9} au lait").expect("short enough");
        let decomposed = Password::parse("cafe\u{301} au lait").expect("short enough");
        assert_eq!(composed.bytes(), decomposed.bytes());
    }

    #[test]
    fn length_is_counted_in_bytes_and_nothing_is_cut() {
        assert!(Password::parse(&"a".repeat(MAX_BYTES)).is_ok());
        assert!(Password::parse(&"a".repeat(MAX_BYTES + 1)).is_err());
        assert!(Password::parse(&"é".repeat(MAX_BYTES / 2 + 1)).is_err());
        // One that grows over the limit by being composed: U+FB2C becomes three code points.
        assert!(Password::parse(&"\u{fb2c}".repeat(MAX_BYTES / 3)).is_err());
    }

    #[test]
    fn a_password_never_shows_itself() {
        assert_eq!(
            format!(
                "{:?}",
                Password::parse("hunter2 hunter2").expect("short enough")
            ),
            "Password(***)"
        );
    }
}
