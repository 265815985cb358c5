//! One effect and one answer for each `Idempotency-Key`.

use sha2::{Digest, Sha256};
use uuid::Uuid;

/// The key a request came with, and what it asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    pub(crate) key: ClaimKey,
    pub(crate) fingerprint: [u8; 32],
}

/// Whose key, and its hash: keys are the client's words, so the database never sees them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ClaimKey {
    pub(crate) principal: Uuid,
    pub(crate) hash: [u8; 32],
}

impl Claim {
    /// `fingerprint` is a SHA-256 of all that makes the request what it is: method, path, body.
    pub fn new(principal: Uuid, key: &str, fingerprint: [u8; 32]) -> Self {
        let hash = Sha256::digest(key).into();
        Self {
            key: ClaimKey { principal, hash },
            fingerprint,
        }
    }
}

/// What is sent back, now and for each repetition: byte for byte the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// The whole body.
    pub body: Vec<u8>,
}

/// An answer as it is kept: under which fingerprint, and with which effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) fingerprint: [u8; 32],
    pub(crate) entry: Option<Uuid>,
    pub(crate) answer: Answer,
}
