use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::DecodingKey;
use plugin_sdk::parse_json;
use serde_json::{Map, Value};

use super::config::Typ;
use super::{Alg, MAX_TOKEN_BYTES};

/// Headers and claims nest no deeper than this.
const MAX_DEPTH: usize = 8;

/// Why a token is not believed. The caller is not told which; the log is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    #[error("longer than {MAX_TOKEN_BYTES} bytes")]
    TooLong,
    #[error("a member of its header is not what it should be")]
    Header,
    #[error("not signed with an algorithm that the route table names")]
    Algorithm,
    #[error("not an access token: its `typ` is none that the route table names")]
    Type,
    #[error("not an access token, by what its claims say it is for")]
    Purpose,
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
    #[error("not active, says its issuer")]
    Inactive,
    #[error("no token (RFC 6750 §2.1)")]
    Opaque,
    #[error("bound to a key (`cnf`) that the caller has not shown")]
    Unbound,
}

/// A signed token taken apart, not believed yet.
#[derive(Debug)]
pub(crate) struct Token<'a> {
    header: Map<String, Value>,
    claims: Map<String, Value>,
    signed: &'a str,
    signature: &'a str,
}

impl<'a> Token<'a> {
    /// Takes a compact JWS of claims apart (RFC 7515 §7.1, RFC 7519). `None` is any other text:
    /// an encrypted token, an opaque one, JSON that could be read in two ways.
    pub(crate) fn read(text: &'a str) -> Option<Self> {
        Self::with(text, object)
    }

    /// The same with a payload of whatever bytes: other people's vectors hold no claims.
    #[cfg(test)]
    pub(super) fn of_anything(text: &'a str) -> Option<Self> {
        Self::with(text, |payload| {
            let decoded = URL_SAFE_NO_PAD.decode(payload);
            decoded.ok().map(|_| Map::new())
        })
    }

    fn with(
        text: &'a str,
        claims: impl FnOnce(&str) -> Option<Map<String, Value>>,
    ) -> Option<Self> {
        let (signed, signature) = text.rsplit_once('.')?;
        let (header, payload) = signed.split_once('.')?;
        // What a JWE has between its ends stays in the payload, which then is no base64url.
        Some(Self {
            header: object(header)?,
            claims: claims(payload)?,
            signed,
            signature,
        })
    }

    /// Whom it names as its issuer, to decide whose it is to judge. That proves nothing.
    pub(super) fn issuer(&self) -> Option<&str> {
        self.claims.get("iss")?.as_str()
    }

    /// How it is signed, and with which key, if its header is that of an access token. Keys that it
    /// offers or points at (`jwk`, `jku`, `x5c`, `x5u`) are not looked at.
    pub(crate) fn signed_with(
        &self,
        algs: &[Alg],
        types: &[Typ],
    ) -> Result<(Alg, Option<&str>), Fault> {
        let text = |name| match self.header.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.as_str())),
            Some(_) => Err(Fault::Header),
        };
        let alg = text("alg")?
            .and_then(Alg::named)
            .filter(|alg| algs.contains(alg))
            .ok_or(Fault::Algorithm)?;
        if self.header.contains_key("crit") || self.header.contains_key("b64") {
            return Err(Fault::Extension);
        }
        let typ = text("typ")?;
        if !types.iter().any(|known| known.is(typ)) {
            return Err(Fault::Type);
        }
        Ok((alg, text("kid")?))
    }

    /// The claims, when one of the keys has signed them.
    pub(crate) fn verify(
        self,
        alg: Alg,
        keys: &[&DecodingKey],
    ) -> Result<Map<String, Value>, Fault> {
        if keys.is_empty() {
            return Err(Fault::UnknownKey);
        }
        let signed = self.signed.as_bytes();
        let holds = |key: &&DecodingKey| {
            let verified =
                jsonwebtoken::crypto::verify(self.signature, signed, key, alg.algorithm());
            matches!(verified, Ok(true))
        };
        match keys.iter().any(holds) {
            true => Ok(self.claims),
            false => Err(Fault::Signature),
        }
    }
}

fn object(part: &str) -> Option<Map<String, Value>> {
    let json = URL_SAFE_NO_PAD.decode(part).ok()?;
    match parse_json(&json, MAX_DEPTH).ok()? {
        Value::Object(object) => Some(object),
        _ => None,
    }
}
