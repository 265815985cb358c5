//! Signing in: `POST /v1/auth/login`, and the one gate behind every way in.

use std::sync::Arc;

use axum::{Json, extract::State, http::StatusCode, response::IntoResponse};
use serde::Deserialize;
use sqlx::PgConnection;
use thiserror::Error;
use time::OffsetDateTime;
use utoipa::ToSchema;
use web::{Input, Problem};

use crate::{
    App,
    account::{self, Account},
    audit::{self, Act},
    email::Email,
    password::{HasherError, Password},
    session::{self, SessionError, Tokens},
};

/// An address and what should be its password.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Credentials {
    email: Email,
    // Any length: the rules for new passwords are no business of those who guess at old ones.
    #[schema(value_type = String, format = "password", max_length = 1024)]
    password: Password,
}

/// Why somebody stays outside. No account, an unproven address and a wrong password are one reason.
#[derive(Debug, Error)]
pub(crate) enum LoginError {
    #[error("address or password is wrong")]
    InvalidCredentials,
    #[error(transparent)]
    Hasher(#[from] HasherError),
    #[error(transparent)]
    Session(#[from] SessionError),
    #[error("signing somebody in")]
    Store(#[from] sqlx::Error),
}

/// A way to prove who one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Factor {
    /// Something that only they know.
    Password,
}

impl Factor {
    /// Its name in the `amr` claim (RFC 8176).
    fn amr(self) -> &'static str {
        match self {
            Self::Password => "pwd",
        }
    }
}

/// Signs in with a password.
#[utoipa::path(
    post, path = "/v1/auth/login", operation_id = "login", tag = "auth",
    request_body = Credentials,
    responses(
        (status = 200, description = "Signed in", body = Tokens),
        (status = 401, description = "Address or password is wrong (`invalid_credentials`)"),
        (status = 503, description = "Too many sign-ins at the moment (`overloaded`)"),
    )
)]
pub(crate) async fn login(
    State(app): State<Arc<App>>,
    Input(Credentials { email, password }): Input<Credentials>,
) -> Result<Json<Tokens>, LoginError> {
    let account = account::store::by_email(&app.pool, &email).await?;
    let kept = account
        .as_ref()
        .and_then(|account| account.password_hash.as_deref());
    let proven = app.passwords.verify(password, kept).await?;

    let now = app.clock.now();
    let mut tx = app.pool.begin().await?;
    let Some(account) = account.as_ref().filter(|_| proven) else {
        match account {
            Some(account) => {
                audit::record(&mut tx, now, Act::SignInRefused, account.id, None).await?;
            }
            // A row that only the known leave would be seen on the clock.
            None => audit::note_stranger(&mut tx, now).await?,
        }
        tx.commit().await?;
        return Err(LoginError::InvalidCredentials);
    };
    let tokens = complete_login(&app, &mut tx, account, &[Factor::Password], now).await?;
    tx.commit().await?;
    Ok(Json(tokens))
}

/// The gate that every way in passes, whatever was proven before it: nothing else opens a session.
/// What keeps somebody out who has proven who they are (a second factor still due, a ban) belongs
/// here, where no way in can forget it.
pub(crate) async fn complete_login(
    app: &App,
    tx: &mut PgConnection,
    account: &Account,
    proven: &[Factor],
    now: OffsetDateTime,
) -> Result<Tokens, LoginError> {
    let amr = proven
        .iter()
        .map(|factor| factor.amr().to_owned())
        .collect();
    let (session_id, tokens) = session::open(app, tx, account, amr, now).await?;
    audit::record(tx, now, Act::SignedIn, account.id, Some(session_id)).await?;
    tracing::info!(user_id = %account.id, %session_id, "somebody signed in");
    Ok(tokens)
}

impl From<LoginError> for Problem {
    fn from(error: LoginError) -> Self {
        match error {
            LoginError::InvalidCredentials => Problem::new(
                StatusCode::UNAUTHORIZED,
                "invalid_credentials",
                "Address or password is wrong",
            ),
            LoginError::Hasher(error) => error.into(),
            LoginError::Session(error) => error.into(),
            LoginError::Store(_) => Problem::internal(error),
        }
    }
}

impl IntoResponse for LoginError {
    fn into_response(self) -> axum::response::Response {
        Problem::from(self).into_response()
    }
}
