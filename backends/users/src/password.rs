//! What counts as a password, and which ones are too easy to guess.

mod hasher;

use std::{collections::HashSet, fmt, sync::LazyLock};

use axum::http::StatusCode;
use serde::Deserialize;
use thiserror::Error;
use unicode_normalization::UnicodeNormalization;
use web::Problem;

pub(crate) use hasher::{Hasher, HasherError};

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

/// Why a password may not be chosen. The words are for the person who is choosing.
#[derive(Debug, PartialEq, Eq, Error)]
pub(crate) enum Weakness {
    #[error("a password has at least {MIN_CHARS} characters")]
    Short,
    #[error("this password is among the first that an attacker tries")]
    Common,
    #[error("this password says little more than the contact it belongs to")]
    LikeEmail,
}

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
}

impl From<Weakness> for Problem {
    fn from(weakness: Weakness) -> Self {
        Self::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "weak_password",
            "Choose another password",
        )
        .detail(weakness.to_string())
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

/// Judges a password that somebody wants to have from now on. Those already in use are never
/// judged: that would lock people out when the list grows.
pub(crate) fn judge(password: &Password, words: &[&str]) -> Result<(), Weakness> {
    let folded = password.0.to_lowercase();
    if folded.chars().count() < MIN_CHARS {
        return Err(Weakness::Short);
    }
    if is_common(&folded) || is_run(&folded) {
        return Err(Weakness::Common);
    }
    if is_like(&folded, words) {
        return Err(Weakness::LikeEmail);
    }
    Ok(())
}

/// Finds a common password under its disguises: `123qwerty!` wears something at its ends,
/// `P@ssw0rd1` also has digits for letters.
fn is_common(folded: &str) -> bool {
    static COMMON: LazyLock<HashSet<&str>> =
        LazyLock::new(|| include_str!("password/common.txt").lines().collect());
    let is_ornament = |letter: char| !letter.is_alphabetic();
    let undisguised: String = folded
        .trim_end_matches(is_ornament)
        .chars()
        .map(|letter| match letter {
            '0' => 'o',
            '1' | '!' => 'i',
            '3' => 'e',
            '4' | '@' => 'a',
            '5' | '$' => 's',
            '7' => 't',
            other => other,
        })
        .collect();
    [folded, folded.trim_matches(is_ornament), &undisguised]
        .iter()
        .any(|guess| COMMON.contains(guess))
}

/// `aaaaaaaa`, `12345678`, `hgfedcba`: every step from one character to the next is the same.
fn is_run(folded: &str) -> bool {
    let points: Vec<i64> = folded
        .chars()
        .map(|letter| i64::from(u32::from(letter)))
        .collect();
    let step = |pair: &[i64]| pair[1] - pair[0];
    let first = points[1] - points[0];
    first.abs() <= 1 && points.windows(2).all(|pair| step(pair) == first)
}

/// Takes the words of the contact out of the password: what is left has to stand by itself.
fn is_like(folded: &str, words: &[&str]) -> bool {
    // Shorter words are in everything by chance.
    const MIN_WORD: usize = 4;
    let rest = words
        .iter()
        .filter(|word| word.len() >= MIN_WORD)
        .fold(folded.to_owned(), |rest, word| rest.replace(*word, ""));
    rest.len() < folded.len() && rest.chars().count() < MIN_CHARS
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(password: &str) -> Result<(), Weakness> {
        let words = ["ann", "leeward", "fjordbank", "example"];
        judge(&Password::parse(password).expect("short enough"), &words)
    }

    #[test]
    fn easy_passwords_are_told_from_others() {
        for (password, verdict) in [
            ("", Err(Weakness::Short)),
            ("s3cr3t!", Err(Weakness::Short)),
            ("ññññ", Err(Weakness::Short)),
            ("password", Err(Weakness::Common)),
            ("PassWord123!", Err(Weakness::Common)),
            ("P@ssw0rd", Err(Weakness::Common)),
            ("123qwerty1", Err(Weakness::Common)),
            ("1q2w3e4r", Err(Weakness::Common)),
            ("11111111", Err(Weakness::Common)),
            ("3456789:", Err(Weakness::Common)),
            ("hgfedcba", Err(Weakness::Common)),
            ("ann.leeward", Err(Weakness::LikeEmail)),
            ("Leeward2026", Err(Weakness::LikeEmail)),
            ("FjordBank!!", Err(Weakness::LikeEmail)),
            ("leeward of the blue hills", Ok(())),
            ("correct horse battery staple", Ok(())),
            ("пароль на каждый день", Ok(())),
            ("x7#Kq!vw", Ok(())),
        ] {
            assert_eq!(judged(password), verdict, "{password:?}");
        }
    }

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
