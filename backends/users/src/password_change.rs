//! Another password for somebody who is signed in: `PUT /v1/me/password`. Every other session ends.

use std::sync::Arc;

use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use events::Notice;
use serde::Deserialize;
use thiserror::Error;
use utoipa::ToSchema;
use web::{Input, Problem};

use crate::{
    App, account, api_key,
    audit::{self, Act},
    notice,
    password::{HasherError, Password, Unfit},
    revocation,
    session::{self, End},
    step_up::Fresh,
};

/// The new password. The old one is not asked for: the fresh proof says who it is, and who signs in
/// by codes has none.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewPassword {
    #[schema(value_type = String, format = "password", min_length = 8, max_length = 1024)]
    password: Password,
}

/// Why a password stays as it is.
#[derive(Debug, Error)]
pub(crate) enum ChangeError {
    #[error("the caller's account is gone")]
    Gone,
    #[error(transparent)]
    Unfit(#[from] Unfit),
    #[error(transparent)]
    Hasher(#[from] HasherError),
    #[error("changing a password")]
    Store(#[from] sqlx::Error),
}

/// Changes the caller's password, or gives them their first. This session goes on; all others end, and
/// so do the keys for programs: one of them may be why the password is changed.
#[utoipa::path(
    put, path = "/v1/me/password", operation_id = "changePassword", tag = "me",
    request_body = NewPassword,
    responses(
        (status = 204, description = "The password is the new one"),
        (status = 403, description = "A fresh proof is due (`second_factor_required`)"),
        (status = 422, description = "The password is too easy to guess (`weak_password`)"),
        (status = 503, description = "Too many sign-ins at the moment (`overloaded`)"),
    )
)]
pub(crate) async fn change(
    State(app): State<Arc<App>>,
    Fresh(caller): Fresh,
    Input(wish): Input<NewPassword>,
) -> Result<StatusCode, ChangeError> {
    let account = account::store::by_id(&app.pool, caller.user_id).await?;
    let account = account.ok_or(ChangeError::Gone)?;
    let words = [&account.email, &account.phone, &account.name];
    let words: Vec<&str> = words
        .into_iter()
        .filter_map(|word| word.as_deref())
        .collect();
    app.judge.accept(&wish.password, &words).await?;
    let hash = app.passwords.hash(wish.password).await?;
    let now = app.clock.now();
    let mut tx = app.pool.begin().await?;
    account::store::set_password(&mut tx, account.id, &hash).await?;
    let mut ended = session::end_all(&mut tx, account.id, caller.sid, End::Password, now).await?;
    ended.extend(api_key::end_all(&mut tx, account.id).await?);
    notice::tell(&mut tx, &account, Notice::PasswordChanged, None, now).await?;
    audit::record(&mut tx, now, Act::PasswordChanged, account.id, caller.sid).await?;
    revocation::revoke(&mut tx, &ended, now).await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

impl From<ChangeError> for Problem {
    fn from(error: ChangeError) -> Self {
        match error {
            ChangeError::Gone => Problem::unauthenticated(),
            ChangeError::Unfit(error) => error.into(),
            ChangeError::Hasher(error) => error.into(),
            ChangeError::Store(_) => Problem::internal(error),
        }
    }
}

impl IntoResponse for ChangeError {
    fn into_response(self) -> Response {
        Problem::from(self).into_response()
    }
}
