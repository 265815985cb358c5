use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::DecodingKey;
use plugin_sdk::parse_json;
use serde_json::Value;

use super::{Alg, MAX_TOKEN_BYTES};

/// Headers and claims nest no deeper than this.
const MAX_DEPTH: usize = 8;

/// Why a token is not believed. The caller is not told which; the log is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fault {
    #[error("longer than {MAX_TOKEN_BYTES} bytes")]
    TooLong,
    #[error("not three parts of base64url, or no JSON that reads in one way only")]
    Malformed,
    #[error("not signed with an algorithm that the route table names")]
    Algorithm,
    #[error("not an access token: `typ` is not `at+jwt`")]
    Type,
    #[error("a critical extension (`crit`) that is not known here")]
    Extension,
    #[error("no key of the issuer's goes with it")]
    UnknownKey,
    #[error("the signature is not the key's")]
    Signature,
    #[error("expired")]
    Expired,
    #[error("from the future")]
    Early,
    #[error("the claim `{0}` is missing, malformed or not what is asked for")]
    Claim(&'static str),
}

/// A token taken apart, not believed yet.
#[derive(Debug)]
pub(super) struct Token<'a> {
    pub(super) alg: Alg,
    pub(super) kid: Option<String>,
    signed: &'a str,
    payload: &'a str,
    signature: &'a str,
}

impl<'a> Token<'a> {
    /// Takes a compact JWS apart (RFC 7515 §7.1). Keys that its header offers or points at (`jwk`,
    /// `jku`, `x5c`, `x5u`) are not looked at.
    pub(super) fn parse(text: &'a str, algs: &[Alg]) -> Result<Self, Fault> {
        if text.len() > MAX_TOKEN_BYTES {
            return Err(Fault::TooLong);
        }
        let (signed, signature) = text.rsplit_once('.').ok_or(Fault::Malformed)?;
        let (header, payload) = signed.split_once('.').ok_or(Fault::Malformed)?;
        // A fifth part of a JWE stays in the payload, which then is no base64url.
        let header = object(header)?;
        let alg = header["alg"]
            .as_str()
            .and_then(Alg::named)
            .filter(|alg| algs.contains(alg))
            .ok_or(Fault::Algorithm)?;
        if header.get("crit").is_some() || header.get("b64").is_some() {
            return Err(Fault::Extension);
        }
        let typ = header["typ"].as_str().ok_or(Fault::Type)?;
        if !["at+jwt", "application/at+jwt"]
            .iter()
            .any(|known| typ.eq_ignore_ascii_case(known))
        {
            return Err(Fault::Type);
        }
        let kid = match &header["kid"] {
            Value::Null => None,
            Value::String(kid) => Some(kid.clone()),
            _ => return Err(Fault::Malformed),
        };
        Ok(Self {
            alg,
            kid,
            signed,
            payload,
            signature,
        })
    }

    /// The claims, when the key has signed them.
    pub(super) fn verify(&self, key: &DecodingKey) -> Result<Value, Fault> {
        let signed = self.signed.as_bytes();
        match jsonwebtoken::crypto::verify(self.signature, signed, key, self.alg.algorithm()) {
            Ok(true) => object(self.payload),
            _ => Err(Fault::Signature),
        }
    }
}

fn object(part: &str) -> Result<Value, Fault> {
    let json = URL_SAFE_NO_PAD.decode(part).map_err(|_| Fault::Malformed)?;
    let value = parse_json(&json, MAX_DEPTH).map_err(|_| Fault::Malformed)?;
    value.is_object().then_some(value).ok_or(Fault::Malformed)
}
