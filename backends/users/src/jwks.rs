//! The keys that access tokens are checked with: `GET /.well-known/jwks.json`, behind the edge for
//! everybody and on the private port for the gateway itself.

use std::{collections::HashMap, sync::Arc};

use axum::{
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use ed25519_dalek::VerifyingKey;
use serde::Serialize;
use sha2::{Digest, Sha256};
use utoipa::ToSchema;
use web::Problem;

use crate::{App, token::Signer};

/// A set of public keys (RFC 7517).
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Jwks {
    keys: Vec<Jwk>,
}

/// An Ed25519 public key (RFC 8037).
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Jwk {
    kty: &'static str,
    crv: &'static str,
    alg: &'static str,
    #[serde(rename = "use")]
    usage: &'static str,
    kid: String,
    x: String,
}

/// The document as it is sent, made once.
pub(crate) struct JwksDocument {
    body: String,
    etag: HeaderValue,
    keys: HashMap<String, VerifyingKey>,
}

impl JwksDocument {
    pub(crate) fn new<'a>(keys: impl Iterator<Item = &'a Signer> + Clone) -> Self {
        let jwk = |key: &Signer| Jwk {
            kty: "OKP",
            crv: "Ed25519",
            alg: "EdDSA",
            usage: "sig",
            kid: key.kid().to_owned(),
            x: key.public_x(),
        };
        let jwks = Jwks {
            keys: keys.clone().map(jwk).collect(),
        };
        let body = serde_json::to_string(&jwks).expect("strings serialise");
        let etag = format!(
            "\"{}\"",
            BASE64_URL_SAFE_NO_PAD.encode(&Sha256::digest(&body)[..16])
        );
        Self {
            etag: etag.try_into().expect("base64 is visible ASCII"),
            body,
            keys: keys
                .map(|key| (key.kid().to_owned(), key.verifying_key()))
                .collect(),
        }
    }

    /// The key of this name, while it is published.
    pub(crate) fn key(&self, kid: &str) -> Option<&VerifyingKey> {
        self.keys.get(kid)
    }
}

/// The keys that access tokens are checked with: the one that signs, the one that will after it, and
/// the one before until its last token is void.
#[utoipa::path(
    get, path = "/.well-known/jwks.json", operation_id = "jwks", tag = "auth",
    responses(
        (status = 200, description = "The public keys", body = Jwks),
        (status = 304, description = "The keys are those you know by this ETag"),
        (status = 503, description = "There are none yet (`upstream_unavailable`)"),
    )
)]
pub(crate) async fn jwks(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let document = app.tokens.keys().document()?;
    let JwksDocument { body, etag, .. } = &*document;
    let shared = [
        (header::ETAG, etag.clone()),
        (
            header::CACHE_CONTROL,
            HeaderValue::from_static("public, max-age=300"),
        ),
    ];
    if is_known(&headers, etag) {
        return Ok((StatusCode::NOT_MODIFIED, shared).into_response());
    }
    let json = [(header::CONTENT_TYPE, "application/json")];
    Ok((shared, json, body.clone()).into_response())
}

/// Compares weakly, as RFC 9110 §13.1.2 wants for reading.
fn is_known(headers: &HeaderMap, etag: &HeaderValue) -> bool {
    headers
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .flat_map(|line| line.as_bytes().split(|byte| *byte == b','))
        .map(|tag| tag.trim_ascii())
        .any(|tag| tag == b"*" || tag.strip_prefix(b"W/").unwrap_or(tag) == etag.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_etag_is_found_in_whatever_way_it_is_asked_for() {
        let etag = HeaderValue::from_static("\"abc\"");
        for (asked, known) in [
            ("\"abc\"", true),
            ("W/\"abc\"", true),
            ("\"x\", \"abc\"", true),
            ("*", true),
            ("\"abcd\"", false),
            ("abc", false),
        ] {
            let headers =
                HeaderMap::from_iter([(header::IF_NONE_MATCH, HeaderValue::from_static(asked))]);
            assert_eq!(is_known(&headers, &etag), known, "{asked}");
        }
        assert!(!is_known(&HeaderMap::new(), &etag));
    }
}
