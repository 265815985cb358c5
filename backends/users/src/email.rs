//! An address as we keep and compare it.

use serde::{Deserialize, Serialize};
use thiserror::Error;
use utoipa::ToSchema;

/// A mail address; capital letters make no difference.
// Kept in lower case. Only the shape is judged here: that an address works, and whose it is, is
// proven by the code that comes back from it. ASCII only, since two Unicode spellings of one
// address would be two accounts to us and one person to the mail server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "String")]
#[schema(value_type = String, format = "email", min_length = 3, max_length = 254, example = "ann@example.com")]
pub(crate) struct Email(String);

/// Why a text is no address.
#[derive(Debug, PartialEq, Eq, Error)]
#[error("not an e-mail address")]
pub(crate) struct NotAnEmail;

impl Email {
    /// Reads `local@domain`, of at most 254 bytes, and puts it in lower case.
    pub(crate) fn parse(text: &str) -> Result<Self, NotAnEmail> {
        let (local, domain) = text.rsplit_once('@').ok_or(NotAnEmail)?;
        let good = text.len() <= 254 && is_local_part(local) && is_domain(domain);
        good.then(|| Self(text.to_ascii_lowercase()))
            .ok_or(NotAnEmail)
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Email {
    type Error = NotAnEmail;

    fn try_from(text: String) -> Result<Self, NotAnEmail> {
        Self::parse(&text)
    }
}

/// A dot-atom of RFC 5322; the quoted form is legal, unused, and a way to smuggle headers.
fn is_local_part(local: &str) -> bool {
    let is_atom = |atom: &str| {
        !atom.is_empty()
            && atom
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&byte))
    };
    local.len() <= 64 && local.split('.').all(is_atom)
}

fn is_domain(domain: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    domain.split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_in_lower_case_or_refused() {
        let long_local = format!("{}@example.com", "a".repeat(65));
        let long_label = format!("a@{}.com", "d".repeat(64));
        for (text, kept) in [
            ("Ann.Lee+tag@Example.COM", Some("ann.lee+tag@example.com")),
            ("dev@localhost", Some("dev@localhost")),
            (
                "o'neil@xn--bcher-kva.example",
                Some("o'neil@xn--bcher-kva.example"),
            ),
            ("", None),
            ("ann", None),
            ("@example.com", None),
            ("ann@", None),
            ("ann@example..com", None),
            ("ann@-example.com", None),
            (".ann@example.com", None),
            ("ann@lee@example.com", None),
            ("ann lee@example.com", None),
            ("ann@example.com\r\nbcc: eve@example.com", None),
            ("\"ann\"@example.com", None),
            ("änn@example.com", None),
            (&long_local, None),
            (&long_label, None),
        ] {
            assert_eq!(
                Email::parse(text).ok().as_ref().map(Email::as_str),
                kept,
                "{text:?}"
            );
        }
    }
}
