//! Throwing the present key away before its time: `POST /v1/signing-keys/rotate`, for the day on
//! which somebody may have got hold of it.

use std::sync::Arc;

use axum::{extract::State, http::StatusCode, response::IntoResponse};
use sqlx::PgConnection;
use thiserror::Error;
use time::OffsetDateTime;
use web::Problem;

use super::{BELL, Keys, KeysError, schedule, store};
use crate::{
    App,
    audit::{self, Act},
    rights::{Permission, RightsError},
    step_up::Fresh,
};

/// Why the keys stay as they are.
#[derive(Debug, Error)]
pub(crate) enum RotationError {
    #[error(transparent)]
    Rights(#[from] RightsError),
    #[error(transparent)]
    Keys(#[from] KeysError),
    #[error("changing the signing keys")]
    Store(#[from] sqlx::Error),
}

/// Throws away the key that signs, and those before it; the one that is announced takes over at
/// once. For a key that may be in other hands: each change that is planned happens by itself.
///
/// Tokens under way that the old key has signed are void as soon as a gateway reads the keys anew,
/// within the five minutes for which it keeps them; sessions go on, and their next refresh gives a
/// token that the new key has signed. Whoever may know the announced key as well calls twice.
#[utoipa::path(
    post, path = "/v1/signing-keys/rotate", operation_id = "rotateSigningKeys", tag = "keys",
    responses(
        (status = 204, description = "Another key signs, and the old ones are published no longer"),
        (status = 403, description = "No role of the caller's has `keys.manage` (`forbidden`), a fresh proof is due (`second_factor_required`), or there is no session (`session_required`)"),
    )
)]
pub(crate) async fn rotate_keys(
    State(app): State<Arc<App>>,
    Fresh(caller): Fresh,
) -> Result<StatusCode, RotationError> {
    app.rights.require(&caller, Permission::KeysManage)?;
    let now = app.clock.now();
    let keys = app.tokens.keys();
    let _looking = keys.looking.lock().await;
    let mut tx = app.pool.begin().await?;
    keys.replace(&mut tx, now).await?;
    audit::record(
        &mut tx,
        now,
        Act::SigningKeysReplaced,
        caller.user_id,
        caller.sid,
    )
    .await?;
    pg::ring(&mut tx, BELL).await?;
    tx.commit().await?;
    // So that the caller's next token is of the new key; the other replicas hear the bell.
    keys.look(now).await?;
    tracing::warn!(user_id = %caller.user_id, "the signing keys were replaced");
    Ok(StatusCode::NO_CONTENT)
}

impl Keys {
    /// Makes the announced key sign now, without those that have signed so far.
    async fn replace(&self, tx: &mut PgConnection, now: OffsetDateTime) -> Result<(), KeysError> {
        let mut keys = store::lock_all(tx).await?;
        self.open(&keys, now)?;
        for old in keys.extract_if(.., |key| key.times.signs_from <= now) {
            store::remove(tx, &old.kid).await?;
        }
        if let Some(announced) = keys.first_mut() {
            announced.times = schedule::at_once(now, self.every);
            store::set_times(tx, &announced.kid, &announced.times).await?;
        }
        self.step(tx, keys, now).await?;
        Ok(())
    }
}

impl From<RotationError> for Problem {
    fn from(error: RotationError) -> Self {
        match error {
            RotationError::Rights(error) => error.into(),
            RotationError::Keys(_) | RotationError::Store(_) => Problem::internal(error),
        }
    }
}

impl IntoResponse for RotationError {
    fn into_response(self) -> axum::response::Response {
        Problem::from(self).into_response()
    }
}
