//! Oneself: `GET /v1/me`.

use std::sync::Arc;

use axum::{Json, extract::State, http::StatusCode, response::IntoResponse};
use serde::Serialize;
use thiserror::Error;
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;
use web::{Caller, Problem};

use crate::{App, account};

/// What an account says about itself.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Me {
    id: Uuid,
    /// The address of mail, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    email: Option<String>,
    /// The phone number, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    phone: Option<String>,
    /// What others may call them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    name: Option<String>,
    roles: Vec<String>,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
}

/// Why there is nothing to say.
#[derive(Debug, Error)]
pub(crate) enum MeError {
    #[error("the caller's account is gone")]
    Gone,
    #[error("reading an account")]
    Store(#[from] sqlx::Error),
}

/// The caller's own account.
#[utoipa::path(
    get, path = "/v1/me", operation_id = "me", tag = "me",
    responses(
        (status = 200, description = "The account", body = Me),
        (status = 401, description = "Nobody is signed in (`unauthenticated`)"),
    )
)]
pub(crate) async fn me(State(app): State<Arc<App>>, caller: Caller) -> Result<Json<Me>, MeError> {
    let account = account::store::by_id(&app.pool, caller.user_id)
        .await?
        .ok_or(MeError::Gone)?;
    Ok(Json(Me {
        id: account.id,
        roles: account.roles(app.clock.now()),
        email: account.email,
        phone: account.phone,
        name: account.name,
        created_at: account.created_at,
    }))
}

impl From<MeError> for Problem {
    fn from(error: MeError) -> Self {
        match error {
            // The token outlived its account.
            MeError::Gone => Problem::new(
                StatusCode::UNAUTHORIZED,
                "unauthenticated",
                "This account is gone",
            ),
            MeError::Store(_) => Problem::internal(error),
        }
    }
}

impl IntoResponse for MeError {
    fn into_response(self) -> axum::response::Response {
        Problem::from(self).into_response()
    }
}
