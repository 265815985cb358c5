//! What we know of somebody, for themselves: `POST /v1/me/export`, and `GET /v1/me/export/{id}`.
//!
//! A copy is made at once where that is quick, and by a [`job`] where it is not. It lies for a week,
//! sealed. It tells everything of the account but secrets and what was made of them.

mod store;

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State, rejection::PathRejection},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use events::Notice;
use host::Job;
use serde::Serialize;
use sqlx::PgPool;
use thiserror::Error;
use time::{Duration, OffsetDateTime};
use utoipa::ToSchema;
use uuid::Uuid;
use web::Problem;

use crate::{
    App, account,
    audit::{self, Act},
    key::Key,
    notice,
    step_up::Fresh,
};

pub(crate) use store::sweep;

/// How long a copy lies.
const KEPT: Duration = Duration::days(7);
/// Somebody of whom the record tells no more acts than this has their copy at once.
const QUICK: i64 = 1_000;
/// Copies that one run of the job makes.
const BATCH: usize = 50;

/// A copy that was asked for.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Export {
    id: Uuid,
    /// Whether it can be fetched already. If not, its owner is told as soon as it can.
    ready: bool,
    /// From when on it is gone.
    #[serde(with = "time::serde::rfc3339")]
    expires_at: OffsetDateTime,
}

/// Why there is no copy.
#[derive(Debug, Error)]
pub(crate) enum ExportError {
    #[error("the caller's account is gone")]
    Gone,
    #[error("no such copy of the caller's")]
    NotFound,
    #[error("the copy is not made yet")]
    NotReady,
    #[error("drawing a nonce")]
    Randomness(#[from] getrandom::Error),
    #[error("copying what is known of an account")]
    Store(#[from] sqlx::Error),
}

/// Asks for a copy of all that this app knows of the caller. It takes the place of one that was asked for
/// before.
#[utoipa::path(
    post, path = "/v1/me/export", operation_id = "askExport", tag = "me",
    responses(
        (status = 202, description = "It is made, or will be", body = Export),
        (status = 403, description = "The caller has to prove themselves anew (`second_factor_required`)"),
    )
)]
pub(crate) async fn ask(
    State(app): State<Arc<App>>,
    Fresh(caller): Fresh,
) -> Result<(StatusCode, Json<Export>), ExportError> {
    let now = app.clock.now();
    let id = Uuid::now_v7();
    let expires_at = now + KEPT;
    let mut tx = app.pool.begin().await?;
    store::begin(&mut tx, id, caller.user_id, now, expires_at).await?;
    audit::record(&mut tx, now, Act::ExportAsked, caller.user_id, caller.sid).await?;
    let quick = store::acts(&mut tx, caller.user_id, QUICK + 1).await? <= QUICK;
    tx.commit().await?;
    let ready = quick && make(&app.pool, &app.exports, Some(id), now).await?;
    let export = Export {
        id,
        ready,
        expires_at,
    };
    Ok((StatusCode::ACCEPTED, Json(export)))
}

/// The copy, as JSON.
#[utoipa::path(
    get, path = "/v1/me/export/{id}", operation_id = "fetchExport", tag = "me",
    params(("id" = Uuid, Path, description = "The copy")),
    responses(
        (status = 200, description = "All that is known of the caller", body = Object),
        (status = 403, description = "The caller has to prove themselves anew (`second_factor_required`)"),
        (status = 404, description = "`not_found`: not there, not there any more, or not the caller's"),
        (status = 409, description = "`not_ready`: come back later"),
    )
)]
pub(crate) async fn fetch(
    State(app): State<Arc<App>>,
    Fresh(caller): Fresh,
    id: Result<Path<Uuid>, PathRejection>,
) -> Result<Response, ExportError> {
    let Path(id) = id.map_err(|_| ExportError::NotFound)?;
    let now = app.clock.now();
    let mut tx = app.pool.begin().await?;
    let sealed = store::document(&mut tx, id, caller.user_id, now).await?;
    let sealed = sealed.ok_or(ExportError::NotFound)?;
    let sealed = sealed.ok_or(ExportError::NotReady)?;
    // Sealed under a secret that is another one now: ask anew.
    let document = app.exports.open(id.as_bytes(), &sealed);
    let document = document.ok_or(ExportError::NotFound)?;
    audit::record(&mut tx, now, Act::ExportFetched, caller.user_id, caller.sid).await?;
    tx.commit().await?;
    let head = [
        (header::CONTENT_TYPE, "application/json"),
        (
            header::CONTENT_DISPOSITION,
            "attachment; filename=\"export.json\"",
        ),
    ];
    let head = head.map(|(name, value)| (name, HeaderValue::from_static(value)));
    Ok((head, document).into_response())
}

/// Makes the copies that were not made at once.
pub(crate) fn job(app: Arc<App>) -> Job {
    Job {
        name: "export",
        every: std::time::Duration::from_secs(10),
        limit: std::time::Duration::from_secs(5 * 60),
        run: Arc::new(move || {
            let app = app.clone();
            Box::pin(async move {
                for _ in 0..BATCH {
                    if !make(&app.pool, &app.exports, None, app.clock.now()).await? {
                        break;
                    }
                }
                Ok(())
            })
        }),
    }
}

/// Makes one copy: that of the id, or the one that has waited longest. False if there is none.
async fn make(
    pool: &PgPool,
    key: &Key,
    id: Option<Uuid>,
    now: OffsetDateTime,
) -> Result<bool, ExportError> {
    let mut tx = pool.begin().await?;
    let Some(waiting) = store::take(&mut tx, id, now).await? else {
        return Ok(false);
    };
    let account = account::store::by_id(&mut *tx, waiting.account_id).await?;
    let account = account.ok_or(ExportError::Gone)?;
    let document = store::everything(&mut tx, account.id).await?;
    let document = key.seal(waiting.id.as_bytes(), document.as_bytes())?;
    store::keep(&mut tx, waiting.id, &document).await?;
    notice::tell(&mut tx, &account, Notice::ExportReady, None, now).await?;
    tx.commit().await?;
    Ok(true)
}

impl From<ExportError> for Problem {
    fn from(error: ExportError) -> Self {
        match error {
            ExportError::Gone => Problem::unauthenticated(),
            ExportError::NotFound => Problem::not_found(),
            ExportError::NotReady => {
                Problem::new(StatusCode::CONFLICT, "not_ready", "Not made yet").retry_after(10)
            }
            ExportError::Randomness(_) | ExportError::Store(_) => Problem::internal(error),
        }
    }
}

impl IntoResponse for ExportError {
    fn into_response(self) -> Response {
        Problem::from(self).into_response()
    }
}

#[cfg(test)]
mod tests {
    /// Whatever is kept of an account is told in its copy, but for bytes and JSON: so no secret, and
    /// nothing that was made of one, may be a text.
    #[tokio::test]
    async fn secrets_are_kept_as_bytes() {
        let database = pg::testing::database(crate::MIGRATIONS).await;
        let texts = "select attrelid::regclass || '.' || attname from pg_attribute
            join pg_constraint on conrelid = attrelid and contype = 'f'
                and confrelid = 'users.account'::regclass
            where attnum > 0 and not attisdropped
                and attname ~ '(hash|secret|token|password|code)'
                and atttypid not in ('bytea'::regtype, 'json'::regtype, 'jsonb'::regtype)";
        let texts: Vec<String> = sqlx::query_scalar(texts)
            .fetch_all(&database.pool)
            .await
            .expect("columns");
        assert_eq!(texts, Vec::<String>::new(), "everybody would be told them");
    }
}
