//! `Idempotency-Key`: the same wish twice is one effect.

use axum::extract::FromRequestParts;
use http::request::Parts;
use http::{Method, StatusCode};
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::Problem;

const HEADER: &str = "idempotency-key";

/// What tells two requests under one key apart: SHA-256 over method, path and body.
pub type Fingerprint = [u8; 32];

/// The client's name for one wish: 1 to 255 visible ASCII characters, required. Unique per caller:
/// store it with the caller's id, never alone.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    /// The key as it came.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What the key was used for. Of the body as parsed, so that spaces and the order of fields
    /// don't make another wish of it.
    pub fn fingerprint(&self, method: &Method, path: &str, body: &impl Serialize) -> Fingerprint {
        let body = serde_json::to_vec(body).expect("a parsed body is plain data");
        let mut digest = Sha256::new();
        for part in [method.as_str().as_bytes(), path.as_bytes(), &body] {
            // With lengths, so that no two splits of the same bytes meet.
            digest.update((part.len() as u64).to_be_bytes());
            digest.update(part);
        }
        digest.finalize().into()
    }

    fn parse(parts: &Parts) -> Result<Self, Problem> {
        let mut values = parts.headers.get_all(HEADER).iter();
        let key = match (values.next(), values.next()) {
            (Some(key), None) => key.as_bytes(),
            (Some(_), Some(_)) => {
                return Err(Problem::bad_request("more than one Idempotency-Key"));
            }
            (None, _) => {
                return Err(Problem::new(
                    StatusCode::BAD_REQUEST,
                    "idempotency_key_required",
                    "Idempotency-Key required",
                )
                .detail("name this wish in an Idempotency-Key header, so that a retry is one"));
            }
        };
        let visible = key.iter().all(u8::is_ascii_graphic);
        match std::str::from_utf8(key) {
            Ok(key) if visible && (1..=255).contains(&key.len()) => Ok(Self(key.to_owned())),
            _ => Err(Problem::bad_request(
                "an Idempotency-Key has 1 to 255 visible ASCII characters",
            )),
        }
    }
}

impl<S: Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Self::parse(parts)
    }
}
