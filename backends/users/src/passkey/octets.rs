//! Bytes as WebAuthn's JSON writes them: base64url without padding.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The most of them at once: the certificates that come with some security keys take a few KiB, and
/// nothing else comes near.
const MAX: usize = 16 * 1024;

/// Bytes, in base64url without padding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(value_type = String, max_length = 22_000, pattern = "^[A-Za-z0-9_-]*$")]
pub(super) struct Octets(pub(super) Vec<u8>);

impl TryFrom<String> for Octets {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text);
        bytes
            .ok()
            .filter(|bytes| bytes.len() <= MAX)
            .map(Self)
            .ok_or("expected up to 16 KiB in base64url without padding")
    }
}

impl From<Octets> for String {
    fn from(octets: Octets) -> Self {
        BASE64_URL_SAFE_NO_PAD.encode(octets.0)
    }
}

impl From<&[u8]> for Octets {
    fn from(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }
}
