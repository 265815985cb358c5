use jsonwebtoken::Algorithm;
use schemars::JsonSchema;
use serde::Deserialize;

/// A signature algorithm (RFC 7518, RFC 8037).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "the names are the registry's")]
pub enum Alg {
    EdDSA,
    ES256,
    ES384,
    RS256,
    RS384,
    RS512,
    PS256,
    PS384,
    PS512,
    HS256,
    HS384,
    HS512,
}

impl Alg {
    /// The algorithm of that exact name. `none` has none here.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "EdDSA" => Self::EdDSA,
            "ES256" => Self::ES256,
            "ES384" => Self::ES384,
            "RS256" => Self::RS256,
            "RS384" => Self::RS384,
            "RS512" => Self::RS512,
            "PS256" => Self::PS256,
            "PS384" => Self::PS384,
            "PS512" => Self::PS512,
            "HS256" => Self::HS256,
            "HS384" => Self::HS384,
            "HS512" => Self::HS512,
            _ => return None,
        })
    }

    /// What a key for it says of itself (`kty`, `crv`).
    pub(super) fn kind(self) -> (&'static str, Option<&'static str>) {
        match self {
            Self::EdDSA => ("OKP", Some("Ed25519")),
            Self::ES256 => ("EC", Some("P-256")),
            Self::ES384 => ("EC", Some("P-384")),
            Self::RS256 | Self::RS384 | Self::RS512 => ("RSA", None),
            Self::PS256 | Self::PS384 | Self::PS512 => ("RSA", None),
            Self::HS256 | Self::HS384 | Self::HS512 => ("oct", None),
        }
    }

    /// How long a shared secret must be for it, in bytes (RFC 7518 §3.2); `None` when its keys
    /// are pairs.
    pub(crate) fn secret_bytes(self) -> Option<usize> {
        match self {
            Self::HS256 => Some(32),
            Self::HS384 => Some(48),
            Self::HS512 => Some(64),
            _ => None,
        }
    }

    pub(super) fn algorithm(self) -> Algorithm {
        match self {
            Self::EdDSA => Algorithm::EdDSA,
            Self::ES256 => Algorithm::ES256,
            Self::ES384 => Algorithm::ES384,
            Self::RS256 => Algorithm::RS256,
            Self::RS384 => Algorithm::RS384,
            Self::RS512 => Algorithm::RS512,
            Self::PS256 => Algorithm::PS256,
            Self::PS384 => Algorithm::PS384,
            Self::PS512 => Algorithm::PS512,
            Self::HS256 => Algorithm::HS256,
            Self::HS384 => Algorithm::HS384,
            Self::HS512 => Algorithm::HS512,
        }
    }
}
