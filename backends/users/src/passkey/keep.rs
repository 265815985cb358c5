//! Looking after one's passkeys: `GET /v1/me/passkeys`, `PATCH` and `DELETE /v1/me/passkeys/{id}`.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State, rejection::PathRejection},
    http::StatusCode,
};
use events::Notice;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;
use web::{Input, SignedIn, page::Page};

use super::{MAX_PASSKEYS, PasskeyError, credential::PasskeyName, store};
use crate::{
    App, account,
    audit::{self, Act},
    notice, second_factor,
    step_up::Fresh,
};

/// A passkey, as its owner sees it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PasskeyView {
    pub(super) id: Uuid,
    pub(super) name: String,
    /// The make of the authenticator, as it says itself; all zeros where it does not. Public lists
    /// know pictures and names to it.
    pub(super) aaguid: Uuid,
    /// Whether it may live on several devices.
    pub(super) backup_eligible: bool,
    /// Whether it does.
    pub(super) backed_up: bool,
    /// Whether it is found without a name being typed first; null where the browser did not say.
    pub(super) discoverable: Option<bool>,
    #[serde(with = "time::serde::rfc3339")]
    pub(super) created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339::option")]
    pub(super) last_used_at: Option<OffsetDateTime>,
}

/// What shall be different.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PasskeyChange {
    name: PasskeyName,
}

/// The caller's passkeys, oldest first.
#[utoipa::path(
    get, path = "/v1/me/passkeys", operation_id = "listPasskeys", tag = "me",
    responses(
        (status = 200, description = "All of them: there are never many", body = Page<PasskeyView>),
        (status = 403, description = "By a key, or another way without a session (`session_required`)"),
    )
)]
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    SignedIn(caller): SignedIn,
) -> Result<Json<Page<PasskeyView>>, PasskeyError> {
    Ok(Json(Page {
        items: store::of_account(&app.pool, caller.user_id, MAX_PASSKEYS).await?,
        next_cursor: None,
    }))
}

/// Gives a passkey another name.
#[utoipa::path(
    patch, path = "/v1/me/passkeys/{id}", operation_id = "renamePasskey", tag = "me",
    params(("id" = Uuid, Path, description = "The passkey")),
    request_body = PasskeyChange,
    responses(
        (status = 200, description = "The passkey as it is now", body = PasskeyView),
        (status = 403, description = "A fresh proof is due (`second_factor_required`)"),
        (status = 404, description = "`not_found`: not there, or not the caller's"),
    )
)]
pub(crate) async fn rename(
    State(app): State<Arc<App>>,
    Fresh(caller): Fresh,
    id: Result<Path<Uuid>, PathRejection>,
    Input(PasskeyChange { name }): Input<PasskeyChange>,
) -> Result<Json<PasskeyView>, PasskeyError> {
    let Path(id) = id.map_err(|_| PasskeyError::NotFound)?;
    let now = app.clock.now();
    let mut tx = app.pool.begin().await?;
    if !store::rename(&mut tx, caller.user_id, id, name.as_str()).await? {
        return Err(PasskeyError::NotFound);
    }
    let view = store::by_id(&mut tx, caller.user_id, id)
        .await?
        .ok_or(PasskeyError::NotFound)?;
    audit::record(
        &mut tx,
        now,
        Act::PasskeyRenamed,
        caller.user_id,
        caller.sid,
    )
    .await?;
    tx.commit().await?;
    Ok(Json(view))
}

/// Removes a passkey, unless nobody could come in without it. The device keeps its half, which is
/// good for nothing from now on. With the last second factor go the recovery codes.
#[utoipa::path(
    delete, path = "/v1/me/passkeys/{id}", operation_id = "removePasskey", tag = "me",
    params(("id" = Uuid, Path, description = "The passkey")),
    responses(
        (status = 204, description = "The passkey is gone"),
        (status = 403, description = "A fresh proof is due (`second_factor_required`)"),
        (status = 404, description = "`not_found`: not there, or not the caller's"),
        (status = 409, description = "`last_way_in`"),
    )
)]
pub(crate) async fn remove(
    State(app): State<Arc<App>>,
    Fresh(caller): Fresh,
    id: Result<Path<Uuid>, PathRejection>,
) -> Result<StatusCode, PasskeyError> {
    let Path(id) = id.map_err(|_| PasskeyError::NotFound)?;
    let now = app.clock.now();
    let user_id = caller.user_id;
    let mut tx = app.pool.begin().await?;
    // Of two that remove the last two at once, the second sees what the first has left.
    let account = account::store::hold(&mut tx, user_id).await?;
    let account = account.ok_or(PasskeyError::Gone)?;
    let name = store::remove(&mut tx, user_id, id)
        .await?
        .ok_or(PasskeyError::NotFound)?;
    if !account::store::has_way_in(&mut tx, user_id).await? {
        return Err(PasskeyError::LastWayIn);
    }
    if !second_factor::enrolled(&mut tx, &account).await?.any() {
        second_factor::store::remove_recovery_codes(&mut tx, user_id).await?;
    }
    audit::record(&mut tx, now, Act::PasskeyRemoved, user_id, caller.sid).await?;
    notice::tell(
        &mut tx,
        &account,
        Notice::SecondFactorRemoved,
        Some(&name),
        now,
    )
    .await?;
    tx.commit().await?;
    tracing::info!(%user_id, passkey_id = %id, "a passkey was removed");
    Ok(StatusCode::NO_CONTENT)
}
