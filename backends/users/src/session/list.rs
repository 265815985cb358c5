//! Where somebody is signed in: `GET /v1/me/sessions`, and `DELETE /v1/me/sessions/{id}`.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State, rejection::PathRejection},
    http::StatusCode,
};
use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;
use web::{SignedIn, page::Page};

use super::{End, SessionError, store};
use crate::{
    App,
    audit::{self, Act},
    revocation::{self, Revoked},
};

/// Sessions that are shown: nobody has more devices, and those beyond are used least.
const MAX_SHOWN: i64 = 100;

/// A session as its owner sees it.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SessionView {
    pub(super) id: Uuid,
    /// Where it was used last.
    pub(super) ip: Option<String>,
    /// What the program there calls itself.
    pub(super) user_agent: Option<String>,
    #[serde(with = "time::serde::rfc3339")]
    pub(super) created_at: OffsetDateTime,
    /// When it was last refreshed.
    #[serde(with = "time::serde::rfc3339")]
    pub(super) last_seen_at: OffsetDateTime,
    /// Whether it is the one that asks.
    pub(super) current: bool,
}

/// The caller's sessions, last used first; the hundred that were used last.
#[utoipa::path(
    get, path = "/v1/me/sessions", operation_id = "listSessions", tag = "me",
    responses(
        (status = 200, description = "Those that go on", body = Page<SessionView>),
        (status = 403, description = "By a key, or another way without a session (`session_required`)"),
    )
)]
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    SignedIn(caller): SignedIn,
) -> Result<Json<Page<SessionView>>, SessionError> {
    let now = app.clock.now();
    let items = store::of_account(&app.pool, caller.user_id, caller.sid, now, MAX_SHOWN).await?;
    Ok(Json(Page {
        items,
        next_cursor: None,
    }))
}

/// Ends a session of the caller's: its refresh token is void at once, its access tokens within a
/// second. It needs no fresh proof: whoever sees a stranger's session must be able to end it now.
#[utoipa::path(
    delete, path = "/v1/me/sessions/{id}", operation_id = "endSession", tag = "me",
    params(("id" = Uuid, Path, description = "The session")),
    responses(
        (status = 204, description = "It has ended"),
        (status = 403, description = "By a key, or another way without a session (`session_required`)"),
        (status = 404, description = "`not_found`: not there, over, or not the caller's"),
    )
)]
pub(crate) async fn end(
    State(app): State<Arc<App>>,
    SignedIn(caller): SignedIn,
    id: Result<Path<Uuid>, PathRejection>,
) -> Result<StatusCode, SessionError> {
    let Path(id) = id.map_err(|_| SessionError::NotFound)?;
    let now = app.clock.now();
    let mut tx = app.pool.begin().await?;
    if !store::end(&mut tx, id, caller.user_id, End::Revoked, now).await? {
        return Err(SessionError::NotFound);
    }
    audit::record(&mut tx, now, Act::SessionRevoked, caller.user_id, Some(id)).await?;
    revocation::revoke(&mut tx, &[Revoked::Session(id)], now).await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}
