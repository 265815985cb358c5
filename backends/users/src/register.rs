//! Somebody asks for an account: `POST /v1/auth/register`.
//!
//! The answer is `202 {flow_id}` whoever asks for whatever contact, and it costs the same work: an
//! outsider must not learn who has an account here. What differs is the message. A new contact gets a
//! code; the owner of a known one is told that somebody tried.
//!
//! Nothing is an account yet. The wish waits as a challenge, with its own password, until the code
//! comes back (`verify.rs`). So whoever registers another's contact first gains nothing: the account
//! will have the password of the flow whose code its owner typed, and of no other.

use std::sync::Arc;

use axum::{Json, extract::State, http::StatusCode, response::IntoResponse};
use events::Purpose;
use serde::{Deserialize, Serialize};
use serde_json::json;
use thiserror::Error;
use utoipa::ToSchema;
use uuid::Uuid;
use web::{Input, Problem};

use crate::{
    App, account,
    challenge::{self, ChallengeError, Sends, Wanted},
    contact::{Contact, Phone},
    email::Email,
    pace,
    password::{HasherError, Password, Unfit},
};

/// The wish for an account. Either `email` or `phone` is given.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Registration {
    #[serde(default)]
    #[schema(nullable = false)]
    email: Option<Email>,
    #[serde(default)]
    #[schema(nullable = false)]
    phone: Option<Phone>,
    /// Left out by people who sign in by codes.
    #[serde(default)]
    #[schema(nullable = false, value_type = String, format = "password", min_length = 8, max_length = 1024)]
    password: Option<Password>,
}

/// What a code will be typed for.
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Flow {
    pub(crate) flow_id: Uuid,
}

/// Why a registration was not even begun. That the contact is taken is not among the reasons.
#[derive(Debug, Error)]
pub(crate) enum RegisterError {
    #[error("either an address or a phone number is given")]
    NoContact(Problem),
    #[error(transparent)]
    Unfit(#[from] Unfit),
    #[error(transparent)]
    Hasher(#[from] HasherError),
    #[error(transparent)]
    Challenge(#[from] ChallengeError),
    #[error("keeping a registration")]
    Store(#[from] sqlx::Error),
}

/// Asks for an account. A code is sent to the contact.
#[utoipa::path(
    post, path = "/v1/auth/register", operation_id = "register", tag = "auth",
    request_body = Registration,
    responses(
        (status = 202, description = "If the contact is new, a code is on its way", body = Flow),
        (status = 422, description = "The password is too easy to guess (`weak_password`)"),
        (status = 503, description = "Too many sign-ins at the moment (`overloaded`)"),
    )
)]
pub(crate) async fn register(
    State(app): State<Arc<App>>,
    Input(wish): Input<Registration>,
) -> Result<(StatusCode, Json<Flow>), RegisterError> {
    let contact = Contact::one_of(wish.email, wish.phone).map_err(RegisterError::NoContact)?;
    let password_hash = match wish.password {
        Some(password) => {
            app.judge.accept(&password, &[contact.as_str()]).await?;
            // By far the dearest step, so it is taken for known contacts too: else the clock tells.
            Some(app.passwords.hash(password).await?)
        }
        None => None,
    };
    let flow_id = pace::even(ask(&app, &contact, password_hash)).await?;
    Ok((StatusCode::ACCEPTED, Json(Flow { flow_id })))
}

async fn ask(
    app: &App,
    contact: &Contact,
    password_hash: Option<String>,
) -> Result<Uuid, RegisterError> {
    let now = app.clock.now();
    let mut tx = app.pool.begin().await?;
    let is_known = account::store::is_taken(&mut tx, contact).await?;
    let wanted = Wanted {
        purpose: match contact {
            Contact::Email(_) => Purpose::VerifyEmail,
            Contact::Phone(_) => Purpose::VerifyPhone,
        },
        to: contact,
        account_id: None,
        bound_to: None,
        sends: if is_known { Sends::Known } else { Sends::Code },
        state: json!({ "password_hash": password_hash }),
    };
    let flow_id = challenge::issue(app, &mut tx, &wanted, now).await?;
    tx.commit().await?;
    Ok(flow_id)
}

impl From<RegisterError> for Problem {
    fn from(error: RegisterError) -> Self {
        match error {
            RegisterError::NoContact(problem) => problem,
            RegisterError::Unfit(error) => error.into(),
            RegisterError::Hasher(error) => error.into(),
            RegisterError::Challenge(error) => error.into(),
            RegisterError::Store(_) => Problem::internal(error),
        }
    }
}

impl IntoResponse for RegisterError {
    fn into_response(self) -> axum::response::Response {
        Problem::from(self).into_response()
    }
}
