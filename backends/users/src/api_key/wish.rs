//! One key for each `Idempotency-Key`, and the same answer for each repetition: though a key is
//! shown once and its secret kept nowhere.
//!
//! The secret is a keyed hash of a random salt and the client's `Idempotency-Key`. The salt waits in
//! the database for a day. Until then whoever brings the same `Idempotency-Key` again is told the
//! same secret; the database alone tells nobody, nor does our key alone, and afterwards nobody can.

use axum::http::Method;
use serde::Serialize;
use sha2::{Digest, Sha256};
use sqlx::PgConnection;
use subtle::ConstantTimeEq;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;
use web::{Caller, IdempotencyKey};

use super::{ApiKeyError, NewApiKey, store, written};
use crate::key::{Key, Tag};

/// How long an answer can be repeated.
pub(crate) const KEPT: Duration = Duration::hours(24);

/// A request for a secret, under the caller's name for it.
pub(super) struct Wish<'a> {
    account_id: Uuid,
    key: &'a IdempotencyKey,
    key_hash: Tag,
    fingerprint: Tag,
}

/// What is kept of an answer.
pub(super) struct Kept {
    pub(super) fingerprint: Vec<u8>,
    pub(super) salt: Vec<u8>,
    pub(super) secret_hash: Vec<u8>,
    pub(super) answer: serde_json::Value,
}

impl<'a> Wish<'a> {
    pub(super) fn new(
        caller: &Caller,
        key: &'a IdempotencyKey,
        method: Method,
        path: &str,
        input: &impl Serialize,
    ) -> Self {
        Self {
            account_id: caller.user_id,
            key,
            key_hash: Sha256::digest(key.as_str()).into(),
            fingerprint: key.fingerprint(&method, path, input),
        }
    }

    /// What was answered before, if anything was. A refusal is not kept: it had no effect, and is
    /// judged anew.
    pub(super) async fn answered(
        &self,
        ours: &Key,
        tx: &mut PgConnection,
        now: OffsetDateTime,
    ) -> Result<Option<NewApiKey>, ApiKeyError> {
        let kept = store::wish(tx, self.account_id, &self.key_hash, now - KEPT).await?;
        let Some(kept) = kept else {
            return Ok(None);
        };
        let id = kept.answer["secret_id"]
            .as_str()
            .and_then(|id| id.parse().ok());
        let id = id.filter(|_| kept.fingerprint == self.fingerprint);
        let id: Uuid = id.ok_or(ApiKeyError::KeyReused)?;
        let (key, hash) = written(id, &self.secret(ours, &kept.salt));
        // Under another key of ours another secret would come out, which opens nothing.
        if !bool::from(hash[..].ct_eq(&kept.secret_hash)) {
            return Err(ApiKeyError::KeyReused);
        }
        Ok(Some(NewApiKey {
            key,
            api_key: kept.answer,
        }))
    }

    /// Draws the secret `id` and keeps the answer: the key as shown, and its hash.
    pub(super) async fn keep(
        self,
        ours: &Key,
        tx: &mut PgConnection,
        id: Uuid,
        answer: &serde_json::Value,
        now: OffsetDateTime,
    ) -> Result<(String, Tag), ApiKeyError> {
        let mut salt = [0; 32];
        getrandom::fill(&mut salt)?;
        let (key, hash) = written(id, &self.secret(ours, &salt));
        let kept = Kept {
            fingerprint: self.fingerprint.to_vec(),
            salt: salt.to_vec(),
            secret_hash: hash.to_vec(),
            answer: answer.clone(),
        };
        store::keep_wish(tx, self.account_id, &self.key_hash, &kept, now).await?;
        Ok((key, hash))
    }

    fn secret(&self, ours: &Key, salt: &[u8]) -> Tag {
        ours.tag(&[salt, self.key.as_str().as_bytes()])
    }
}
