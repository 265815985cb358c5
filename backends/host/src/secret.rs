//! Secrets, written by reference.

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use serde::de::Error;
use serde::{Deserialize, Deserializer};

/// A secret of the configuration: `$file:PATH` (relative to the configuration file) or
/// `$env:NAME`, read when the configuration is. A literal is refused; nothing prints it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// A secret that a test or a program already holds.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, without the line end that editors leave in files. For where it is used and
    /// nowhere else.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let reference = String::deserialize(deserializer)?;
        resolve(&reference).map(Self).map_err(D::Error::custom)
    }
}

/// 32 random bytes, written like a [`Secret`] that holds 64 hex digits.
#[derive(Clone, PartialEq, Eq)]
pub struct Key([u8; 32]);

impl Key {
    /// A key that a test or a program already holds.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes. For where they are used and nowhere else.
    pub fn reveal(&self) -> &[u8; 32] {
        &self.0
    }

    fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        if text.len() != 64 || !text.is_ascii() {
            return None;
        }
        for (index, byte) in bytes.iter_mut().enumerate() {
            let digits = &text[index * 2..index * 2 + 2];
            if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
                return None;
            }
            *byte = u8::from_str_radix(digits, 16).ok()?;
        }
        Some(Self(bytes))
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let secret = Secret::deserialize(deserializer)?;
        Self::parse(secret.reveal()).ok_or_else(|| {
            D::Error::custom("not a key; expected 64 hex digits (`openssl rand -hex 32`)")
        })
    }
}

thread_local! {
    /// Where `$file:` starts from while a configuration is read: serde hands nothing down.
    static BASE: RefCell<PathBuf> = RefCell::default();
}

/// Runs `read` with `$file:` references relative to `base`.
pub(crate) fn relative_to<T>(base: &Path, read: impl FnOnce() -> T) -> T {
    let before = BASE.replace(base.to_owned());
    let result = read();
    BASE.set(before);
    result
}

fn resolve(reference: &str) -> Result<String, String> {
    let text = if let Some(path) = reference.strip_prefix("$file:") {
        let path = BASE.with_borrow(|base| base.join(path));
        std::fs::read_to_string(&path).map_err(|error| {
            format!(
                "cannot read the secret in {}: {error}; a path is relative to this file",
                path.display()
            )
        })?
    } else if let Some(name) = reference.strip_prefix("$env:") {
        std::env::var(name).map_err(|_| {
            format!(
                "the environment variable {name}, which holds the secret, is not set; set it, \
                 or write \"$file:PATH\""
            )
        })?
    } else {
        // The literal is not repeated: it may be a real secret.
        return Err(
            "a secret stands in the file itself; write \"$file:PATH\" or \"$env:NAME\" \
             and keep it there"
                .to_owned(),
        );
    };
    let text = text.trim_end_matches(['\r', '\n']);
    if text.is_empty() {
        return Err(format!("the secret behind {reference} is empty"));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, String> {
        let text = serde_json::Value::from(text);
        relative_to(Path::new("/proc/self"), || serde_json::from_value(text))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_literal_is_refused_and_not_repeated() {
        let error = read::<Secret>("hush").expect_err("a literal");
        assert!(
            error.contains("$file:PATH") && !error.contains("hush"),
            "{error}"
        );
    }

    #[test]
    fn a_reference_is_followed_and_nothing_prints_what_is_behind_it() {
        let secret = read::<Secret>("$env:CARGO_PKG_NAME").expect("cargo sets it");
        assert_eq!(
            (secret.reveal(), format!("{secret:?}").as_str()),
            ("host", "***")
        );
        // Relative to the configuration, with the line end cut off.
        let file = read::<Secret>("$file:comm").expect("it is there");
        assert!(!file.reveal().is_empty() && !file.reveal().ends_with('\n'));
        for (reference, said) in [
            ("$env:NO_SUCH_VARIABLE", "NO_SUCH_VARIABLE"),
            ("$file:none", "/proc/self/none"),
        ] {
            let error = read::<Secret>(reference).expect_err("nothing there");
            assert!(error.contains(said), "{error}");
        }
    }

    #[test]
    fn a_key_is_64_hex_digits() {
        assert_eq!(Key::parse(&"0a".repeat(32)), Some(Key([10; 32])));
        for odd in [
            "",
            "0a",
            &"0g".repeat(32),
            &"+a".repeat(32),
            &"é".repeat(32),
        ] {
            assert_eq!(Key::parse(odd), None, "{odd}");
        }
        assert_eq!(format!("{:?}", Key([10; 32])), "***");
    }
}
