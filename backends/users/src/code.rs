//! The six digits that prove an address.

use std::fmt;

use serde::Deserialize;
use subtle::ConstantTimeEq;
use thiserror::Error;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::key::{Key, Tag};

/// The six digits of a mail.
// All of a million are equally likely. It shows itself to nobody but through `reveal`.
#[derive(Clone, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(try_from = "String")]
#[schema(value_type = String, pattern = "^[0-9]{6}$", example = "048151")]
pub(crate) struct Code(String);

/// Why a text is no code.
#[derive(Debug, PartialEq, Eq, Error)]
#[error("a code has six digits")]
pub(crate) struct NotACode;

impl Code {
    const COUNT: u32 = 1_000_000;

    /// Draws a code from the system's randomness.
    pub(crate) fn random() -> Result<Self, getrandom::Error> {
        // The last, incomplete million of u32 is drawn again, so that no code is likelier.
        const FAIR: u32 = u32::MAX - u32::MAX % Code::COUNT;
        loop {
            let drawn = getrandom::u32()?;
            if drawn < FAIR {
                return Ok(Self(format!("{:06}", drawn % Self::COUNT)));
            }
        }
    }

    pub(crate) fn parse(text: &str) -> Result<Self, NotACode> {
        let good = text.len() == 6 && text.bytes().all(|byte| byte.is_ascii_digit());
        good.then(|| Self(text.to_owned())).ok_or(NotACode)
    }

    /// The digits, for the one message that carries them.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Code {
    type Error = NotACode;

    fn try_from(text: String) -> Result<Self, NotACode> {
        Self::parse(&text)
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Code(***)")
    }
}

/// Turns codes into what may be stored. Keyed, because a plain hash of a million possibilities is
/// undone in a blink; bound to the flow, so that one flow's hash fits no other.
pub(crate) struct CodeSeal(Key);

impl CodeSeal {
    pub(crate) fn new(key: Key) -> Self {
        Self(key)
    }

    pub(crate) fn seal(&self, flow_id: Uuid, code: &Code) -> Tag {
        self.seal_text(flow_id, &code.0)
    }

    /// Compares in constant time. Without a stored hash nothing fits.
    pub(crate) fn fits(&self, flow_id: Uuid, code: &Code, stored: Option<&[u8]>) -> bool {
        self.text_fits(flow_id, &code.0, stored)
    }

    /// As for a code, for what else proves a flow.
    pub(crate) fn seal_text(&self, flow_id: Uuid, text: &str) -> Tag {
        self.0.tag(&[flow_id.as_bytes(), text.as_bytes()])
    }

    /// As for a code, for what else proves a flow.
    pub(crate) fn text_fits(&self, flow_id: Uuid, text: &str, stored: Option<&[u8]>) -> bool {
        let offered = self.seal_text(flow_id, text);
        stored.is_some_and(|stored| offered.ct_eq(stored).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_six_ascii_digits_are_a_code() {
        for (text, good) in [
            ("000000", true),
            ("999999", true),
            ("12345", false),
            ("1234567", false),
            ("12345a", false),
            ("-12345", false),
            (" 12345", false),
            ("１２", false),
        ] {
            assert_eq!(Code::parse(text).is_ok(), good, "{text:?}");
        }
        for _ in 0..1000 {
            let code = Code::random().expect("randomness");
            assert!(Code::parse(code.reveal()).is_ok(), "{}", code.reveal());
        }
    }

    #[test]
    fn a_stored_code_fits_its_own_flow_and_digits_only() {
        let seal = CodeSeal::new(Key::from_bytes(&[7; 32]));
        let (flow, other_flow) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let (code, other_code) = (Code("123456".into()), Code("123457".into()));
        let stored = seal.seal(flow, &code);

        assert!(seal.fits(flow, &code, Some(&stored)));
        assert!(!seal.fits(other_flow, &code, Some(&stored)));
        assert!(!seal.fits(flow, &other_code, Some(&stored)));
        assert!(!seal.fits(flow, &code, Some(&[])));
        assert!(!seal.fits(flow, &code, None));
        assert!(!CodeSeal::new(Key::from_bytes(&[8; 32])).fits(flow, &code, Some(&stored)));
    }

    #[test]
    fn a_code_never_shows_itself_in_debug() {
        assert_eq!(format!("{:?}", Code("123456".into())), "Code(***)");
    }
}
