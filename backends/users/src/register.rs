//! Somebody asks for an account: `POST /v1/auth/register`.
//!
//! The answer is `202 {flow_id}` whoever asks for whatever address, and it costs the same work: an
//! outsider must not learn who has an account here. What differs is the mail. A new address gets a
//! code; the owner of a known one is told that somebody tried.
//!
//! Nothing is an account yet. The wish waits in `users.registration`, with its own password, until
//! the code comes back (`verify.rs`). So whoever registers another's address first gains nothing:
//! the account will have the password of the flow whose code its owner typed, and of no other.

pub(crate) mod store;

use std::sync::Arc;

use axum::{Json, extract::State, http::StatusCode, response::IntoResponse};
use events::{AddressKnown, Channel, CodeIssued, Purpose};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use thiserror::Error;
use time::{Duration, OffsetDateTime};
use utoipa::ToSchema;
use uuid::Uuid;
use web::{Input, Problem};

use crate::{
    App, SCHEMA, account,
    code::Code,
    email::Email,
    password::{self, HasherError, Password, Weakness},
};

/// How long a code is good for.
pub(crate) const CODE_TTL: Duration = Duration::minutes(10);
/// Guesses per code. With a million codes and ten mails an hour, guessing at one address round the
/// clock takes more than a year to be likely to succeed.
pub(crate) const TRIES_PER_CODE: i16 = 5;
/// Mails to one address in a row, so that nobody's inbox is flooded through us. All flows share
/// them, because all that a mail costs is its owner's patience.
pub(crate) const MAILS_IN_A_ROW: i32 = 10;
/// After those, one more each time this long has passed: strangers never shut the door for longer.
/// Who is first through it then is for the edge to make fair, with its limit for each client.
pub(crate) const MAIL_SHARE: Duration = Duration::minutes(6);
/// How long a flow may still ask for another code after its last one expired: whoever came while
/// strangers had spent the address's mails need not begin again.
pub(crate) const RENEWABLE: Duration = Duration::hours(1);

/// The wish for an account.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Registration {
    email: Email,
    #[schema(value_type = String, format = "password", min_length = 8, max_length = 1024)]
    password: Password,
}

/// The registration that a code will be typed for.
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Flow {
    pub(crate) flow_id: Uuid,
}

/// Why a registration was not even begun. That the address is taken is not among the reasons.
#[derive(Debug, Error)]
pub(crate) enum RegisterError {
    #[error(transparent)]
    Weak(#[from] Weakness),
    #[error(transparent)]
    Hasher(#[from] HasherError),
    #[error("drawing a code")]
    Randomness(#[from] getrandom::Error),
    #[error("keeping a registration")]
    Store(#[from] sqlx::Error),
}

/// Asks for an account. A code is sent to the address.
#[utoipa::path(
    post, path = "/v1/auth/register", operation_id = "register", tag = "auth",
    request_body = Registration,
    responses(
        (status = 202, description = "If the address is new, a code is on its way", body = Flow),
        (status = 422, description = "The password is too easy to guess (`weak_password`)"),
        (status = 503, description = "Too many sign-ins at the moment (`overloaded`)"),
    )
)]
pub(crate) async fn register(
    State(app): State<Arc<App>>,
    Input(Registration { email, password }): Input<Registration>,
) -> Result<(StatusCode, Json<Flow>), RegisterError> {
    password::judge(&password, &email)?;
    // By far the dearest step, so it is taken for known addresses too: else the clock tells.
    let password_hash = app.passwords.hash(password).await?;
    // Random, not in the order of time: knowing a flow is what lets one type its code.
    let flow_id = Uuid::new_v4();
    let now = app.clock.now();

    let mut tx = app.pool.begin().await?;
    let is_known = account::store::is_taken(&mut tx, &email).await?;
    let code = (!is_known).then(Code::random).transpose()?;
    let is_mailed = store::spend_mail(&mut tx, email.as_str(), now).await?;
    let wish = store::Wish {
        flow_id,
        email: &email,
        password_hash: &password_hash,
        code_hash: code.as_ref().map(|code| app.codes.seal(flow_id, code)),
        // A code that nobody is told is there to be guessed at alone.
        tries_left: if is_mailed { TRIES_PER_CODE } else { 0 },
        expires_at: now + CODE_TTL,
    };
    store::keep(&mut tx, &wish).await?;
    if is_mailed {
        send_mail(&mut tx, email.as_str(), code.as_ref(), wish.expires_at).await?;
    } else {
        // Not told to the caller, who may ask for another code in a while.
        tracing::info!(%flow_id, "an address has had its share of mails, a flow gets none");
    }
    tx.commit().await?;
    Ok((StatusCode::ACCEPTED, Json(Flow { flow_id })))
}

/// Has the code mailed, or to the owner of a known address the news that somebody tried.
pub(crate) async fn send_mail(
    tx: &mut PgConnection,
    to: &str,
    code: Option<&Code>,
    expires_at: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    let to = to.to_owned();
    if let Some(code) = code {
        let code = code.reveal().to_owned();
        let purpose = Purpose::VerifyEmail;
        let issued = CodeIssued {
            to,
            channel: Channel::Email,
            code,
            link: None,
            purpose,
            expires_at,
        };
        pg::outbox::publish(tx, SCHEMA, &issued).await?;
    } else {
        let known = AddressKnown {
            to,
            channel: Channel::Email,
        };
        pg::outbox::publish(tx, SCHEMA, &known).await?;
    }
    Ok(())
}

impl From<RegisterError> for Problem {
    fn from(error: RegisterError) -> Self {
        match error {
            RegisterError::Weak(weakness) => Problem::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "weak_password",
                "Choose another password",
            )
            .detail(weakness.to_string()),
            RegisterError::Hasher(error) => error.into(),
            RegisterError::Randomness(_) | RegisterError::Store(_) => Problem::internal(error),
        }
    }
}

impl IntoResponse for RegisterError {
    fn into_response(self) -> axum::response::Response {
        Problem::from(self).into_response()
    }
}
