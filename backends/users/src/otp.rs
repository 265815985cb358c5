//! Signing in without a password: `POST /v1/auth/otp` has a code sent, `/verify` takes it. Mail
//! carries a link as well (`link_page.rs`). Asking tells nothing: who has no account gets the same
//! answer, and no message.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use events::Purpose;
use serde::Deserialize;
use sqlx::{PgConnection, Postgres, Transaction};
use thiserror::Error;
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;
use web::{Input, Problem};

use crate::{
    App, account,
    challenge::{self, ChallengeError, LinkToken, Proven, Tried},
    client::Client,
    code::Code,
    contact::{Contact, Phone},
    email::Email,
    login::{self, Entrance, LoginError},
    register::Flow,
    session::Tokens,
};

/// Where the code goes. Either `email` or `phone` is given.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct OtpWish {
    #[serde(default)]
    #[schema(nullable = false)]
    email: Option<Email>,
    #[serde(default)]
    #[schema(nullable = false)]
    phone: Option<Phone>,
}

/// The code, and the flow it was sent for.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct OtpProof {
    flow_id: Uuid,
    code: Code,
}

/// Why nobody gets in by a code.
#[derive(Debug, Error)]
pub(crate) enum OtpError {
    #[error("either an address or a phone number is given")]
    NoContact(Problem),
    #[error(transparent)]
    Challenge(#[from] ChallengeError),
    #[error(transparent)]
    Login(#[from] LoginError),
    #[error("signing in by a code")]
    Store(#[from] sqlx::Error),
}

/// Has a code sent to sign in with.
#[utoipa::path(
    post, path = "/v1/auth/otp", operation_id = "otp", tag = "auth",
    request_body = OtpWish,
    responses((status = 202, description = "If there is such an account, a code is on its way", body = Flow))
)]
pub(crate) async fn ask(
    State(app): State<Arc<App>>,
    Input(wish): Input<OtpWish>,
) -> Result<(StatusCode, Json<Flow>), OtpError> {
    let contact = Contact::one_of(wish.email, wish.phone).map_err(OtpError::NoContact)?;
    let flow_id = challenge::ask_owner(&app, &contact, Purpose::SignIn).await?;
    Ok((StatusCode::ACCEPTED, Json(Flow { flow_id })))
}

/// Signs in with the code that was sent. Further as with a password: see `login`.
#[utoipa::path(
    post, path = "/v1/auth/otp/verify", operation_id = "otpVerify", tag = "auth",
    request_body = OtpProof,
    responses(
        (status = 200, description = "Signed in", body = Tokens),
        (status = 400, description = "The code does not fit, or no longer (`invalid_code`)"),
        (status = 401, description = "A second factor is due (`mfa_required`)"),
        (status = 403, description = "The account is banned (`account_banned`) or given up (`account_deleted`)"),
    )
)]
pub(crate) async fn verify(
    State(app): State<Arc<App>>,
    client: Client,
    Input(OtpProof { flow_id, code }): Input<OtpProof>,
) -> Result<Entrance, OtpError> {
    let now = app.clock.now();
    let (mut tx, proven) = spend(&app, flow_id, Tried::Code(&code), now).await?;
    let entrance = enter(&app, &mut tx, &proven, &client).await?;
    tx.commit().await?;
    Ok(entrance)
}

/// The same by the link of the mail. `None`, and the flow goes on, when a second factor is due: the page
/// of a link has no way to ask for it.
pub(crate) async fn by_link(
    app: &App,
    flow_id: Uuid,
    token: &LinkToken,
    client: &Client,
) -> Result<Option<Entrance>, OtpError> {
    let now = app.clock.now();
    let (mut tx, proven) = spend(app, flow_id, Tried::Link(token), now).await?;
    let entrance = enter(app, &mut tx, &proven, client).await?;
    if matches!(entrance, Entrance::SecondFactorDue(_)) {
        return Ok(None);
    }
    tx.commit().await?;
    Ok(Some(entrance))
}

/// Spends a flow, in the transaction that it gives.
async fn spend(
    app: &App,
    flow_id: Uuid,
    tried: Tried<'_>,
    now: OffsetDateTime,
) -> Result<(Transaction<'static, Postgres>, Proven), OtpError> {
    let proven = challenge::prove(app, flow_id, &[Purpose::SignIn], tried, now).await?;
    let mut tx = app.pool.begin().await?;
    if !challenge::take(&mut tx, &proven).await? {
        return Err(ChallengeError::Invalid.into());
    }
    Ok((tx, proven))
}

async fn enter(
    app: &App,
    tx: &mut PgConnection,
    proven: &Proven,
    client: &Client,
) -> Result<Entrance, OtpError> {
    let account = account::store::by_contact(&mut *tx, &proven.contact).await?;
    // The contact may have gone to another account since.
    let account = account.filter(|account| Some(account.id) == proven.account_id);
    let account = account.ok_or(ChallengeError::Invalid)?;
    Ok(login::complete_login(app, tx, &account, &[proven.factor()], client).await?)
}

impl From<OtpError> for Problem {
    fn from(error: OtpError) -> Self {
        match error {
            OtpError::NoContact(problem) => problem,
            OtpError::Challenge(error) => error.into(),
            OtpError::Login(error) => error.into(),
            OtpError::Store(_) => Problem::internal(error),
        }
    }
}

impl IntoResponse for OtpError {
    fn into_response(self) -> Response {
        Problem::from(self).into_response()
    }
}
