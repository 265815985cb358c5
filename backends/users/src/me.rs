//! Oneself: `GET` and `PATCH /v1/me`.

use std::sync::Arc;

use axum::{Json, extract::State, http::StatusCode, response::IntoResponse};
use serde::{Deserialize, Deserializer, Serialize};
use thiserror::Error;
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;
use web::{Caller, Input, Problem};

use crate::{
    App,
    account::{self, Account},
    audit::{self, Act},
};

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

/// What shall be different; what is left out stays, and null takes it away (RFC 7396).
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MeChange {
    /// What others may call them: one line of up to 100 characters.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 100)]
    name: Option<Option<PersonName>>,
}

/// One line of up to 100 characters.
#[derive(Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct PersonName(String);

impl TryFrom<String> for PersonName {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let text = text.trim();
        if !(1..=100).contains(&text.chars().count()) || text.chars().any(char::is_control) {
            return Err("expected one line of 1 to 100 characters");
        }
        Ok(Self(text.to_owned()))
    }
}

/// Tells null from what is left out.
fn given<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Option<PersonName>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
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
    let account = account::store::by_id(&app.pool, caller.user_id).await?;
    let account = account.ok_or(MeError::Gone)?;
    Ok(Json(Me::of(account, app.clock.now())))
}

/// Changes what the account says about itself. Contacts are changed where they are proven.
#[utoipa::path(
    patch, path = "/v1/me", operation_id = "changeMe", tag = "me",
    request_body = MeChange,
    responses(
        (status = 200, description = "The account as it is now", body = Me),
        (status = 401, description = "Nobody is signed in (`unauthenticated`)"),
    )
)]
pub(crate) async fn change(
    State(app): State<Arc<App>>,
    caller: Caller,
    Input(wish): Input<MeChange>,
) -> Result<Json<Me>, MeError> {
    if let Some(name) = wish.name {
        let name = name.map(|name| name.0);
        let mut tx = app.pool.begin().await?;
        account::store::rename(&mut *tx, caller.user_id, name.as_deref()).await?;
        let (act, now) = (Act::ProfileChanged, app.clock.now());
        audit::record(&mut tx, now, act, caller.user_id, caller.sid).await?;
        tx.commit().await?;
    }
    me(State(app), caller).await
}

impl Me {
    fn of(account: Account, now: OffsetDateTime) -> Self {
        Self {
            id: account.id,
            roles: account.roles(now),
            email: account.email,
            phone: account.phone,
            name: account.name,
            created_at: account.created_at,
        }
    }
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
