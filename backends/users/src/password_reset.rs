//! Another password for somebody who has forgotten theirs: `POST /v1/auth/password/forgot` has a code
//! sent, `/reset` takes it with the new password. A second factor is asked for where one is enrolled:
//! a mailbox alone opens no account that has more. It ends all sessions and signs nobody in.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use events::{Notice, Purpose};
use serde::Deserialize;
use sqlx::{PgConnection, Postgres, Transaction};
use thiserror::Error;
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;
use web::{Input, Problem};

use crate::{
    App,
    account::{self, Account},
    api_key,
    audit::{self, Act},
    challenge::{self, ChallengeError, LinkToken, Tried},
    client::Client,
    code::Code,
    contact::{Contact, Phone},
    email::Email,
    factor::{self, Verdict},
    login::LoginError,
    mfa, notice,
    password::{HasherError, Password, Unfit},
    register::Flow,
    revocation, second_factor,
    session::{self, End},
};

/// Whose password is forgotten. Either `email` or `phone` is given.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Forgotten {
    #[serde(default)]
    #[schema(nullable = false)]
    email: Option<Email>,
    #[serde(default)]
    #[schema(nullable = false)]
    phone: Option<Phone>,
}

/// The code, the flow it was sent for, and the new password.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Reset {
    flow_id: Uuid,
    code: Code,
    #[schema(value_type = String, format = "password", min_length = 8, max_length = 1024)]
    password: Password,
}

/// What becomes of a reset.
pub(crate) enum Outcome {
    Done,
    SecondFactorDue(mfa::Due),
}

/// Why a password stays as it is.
#[derive(Debug, Error)]
pub(crate) enum ResetError {
    #[error("either an address or a phone number is given")]
    NoContact(Problem),
    #[error(transparent)]
    Unfit(#[from] Unfit),
    #[error(transparent)]
    Hasher(#[from] HasherError),
    #[error(transparent)]
    Challenge(#[from] ChallengeError),
    #[error("the only second factor is what the code was sent to")]
    OneThing,
    #[error(transparent)]
    Login(#[from] LoginError),
    #[error("replacing a password")]
    Store(#[from] sqlx::Error),
}

/// Has a code sent to choose another password with.
#[utoipa::path(
    post, path = "/v1/auth/password/forgot", operation_id = "forgotPassword", tag = "auth",
    request_body = Forgotten,
    responses((status = 202, description = "If there is such an account, a code is on its way", body = Flow))
)]
pub(crate) async fn forgot(
    State(app): State<Arc<App>>,
    Input(wish): Input<Forgotten>,
) -> Result<(StatusCode, Json<Flow>), ResetError> {
    let contact = Contact::one_of(wish.email, wish.phone).map_err(ResetError::NoContact)?;
    let flow_id = challenge::ask_owner(&app, &contact, Purpose::ResetPassword).await?;
    Ok((StatusCode::ACCEPTED, Json(Flow { flow_id })))
}

/// Replaces a password, with the code that was sent. All sessions end, and all keys for programs. Where a second factor is
/// enrolled the answer is 401 `mfa_required`, and `mfaVerify` does the rest.
#[utoipa::path(
    post, path = "/v1/auth/password/reset", operation_id = "resetPassword", tag = "auth",
    request_body = Reset,
    responses(
        (status = 204, description = "The password is the new one; nobody is signed in by it"),
        (status = 400, description = "The code does not fit, or no longer (`invalid_code`)"),
        (status = 401, description = "A second factor is due (`mfa_required`)"),
        (status = 403, description = "The only second factor is what the code was sent to (`second_factor_required`)"),
        (status = 422, description = "The password is too easy to guess (`weak_password`)"),
        (status = 503, description = "Too many sign-ins at the moment (`overloaded`)"),
    )
)]
pub(crate) async fn reset(
    State(app): State<Arc<App>>,
    client: Client,
    Input(wish): Input<Reset>,
) -> Result<Outcome, ResetError> {
    let tried = Tried::Code(&wish.code);
    let (tx, outcome) = replace(&app, wish.flow_id, tried, wish.password, &client).await?;
    tx.commit().await?;
    Ok(outcome)
}

/// The same by the link of the mail. `None`, and the flow goes on, when a second factor is due: the page
/// of a link has no way to ask for it.
pub(crate) async fn by_link(
    app: &App,
    flow_id: Uuid,
    token: &LinkToken,
    password: Password,
    client: &Client,
) -> Result<Option<Outcome>, ResetError> {
    let (tx, outcome) = replace(app, flow_id, Tried::Link(token), password, client).await?;
    if matches!(outcome, Outcome::SecondFactorDue(_)) {
        return Ok(None);
    }
    tx.commit().await?;
    Ok(Some(outcome))
}

/// Does it in the transaction that it gives.
async fn replace(
    app: &App,
    flow_id: Uuid,
    tried: Tried<'_>,
    password: Password,
    client: &Client,
) -> Result<(Transaction<'static, Postgres>, Outcome), ResetError> {
    let now = app.clock.now();
    let purposes = [Purpose::ResetPassword];
    let proven = challenge::prove(app, flow_id, &purposes, tried, now).await?;
    // Judged before the flow is spent: whoever chose badly may choose again.
    app.judge
        .accept(&password, &[proven.contact.as_str()])
        .await?;
    let hash = app.passwords.hash(password).await?;
    let mut tx = app.pool.begin().await?;
    if !challenge::take(&mut tx, &proven).await? {
        return Err(ChallengeError::Invalid.into());
    }
    let account = account::store::by_contact(&mut *tx, &proven.contact).await?;
    let account = account.filter(|account| Some(account.id) == proven.account_id);
    let account = account.ok_or(ChallengeError::Invalid)?;
    let factors = [proven.factor()];
    let mut enrolled = second_factor::enrolled(&mut tx, &account).await?;
    // The password that was forgotten proves nothing here.
    enrolled.has_password = false;
    let outcome = match factor::judge(&factors, &enrolled) {
        Verdict::Due(kinds) => {
            let wait = mfa::Wait::reset_password(&account, &factors, &hash);
            Outcome::SecondFactorDue(mfa::wait(&mut tx, wait, kinds, client, now).await?)
        }
        // All that is enrolled is the very thing that was shown: it opens no account that has more.
        Verdict::Enough if enrolled.any() => return Err(ResetError::OneThing),
        Verdict::Enough => {
            complete(&mut tx, &account, &hash, now).await?;
            Outcome::Done
        }
    };
    Ok((tx, outcome))
}

/// Makes it so, once everything is proven.
pub(crate) async fn complete(
    tx: &mut PgConnection,
    account: &Account,
    hash: &str,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    account::store::set_password(tx, account.id, hash).await?;
    let mut ended = session::end_all(tx, account.id, None, End::Password, now).await?;
    ended.extend(api_key::end_all(tx, account.id).await?);
    notice::tell(tx, account, Notice::PasswordReset, None, now).await?;
    audit::record(tx, now, Act::PasswordReset, account.id, None).await?;
    revocation::revoke(tx, &ended, now).await
}

impl IntoResponse for Outcome {
    fn into_response(self) -> Response {
        match self {
            Self::Done => StatusCode::NO_CONTENT.into_response(),
            Self::SecondFactorDue(due) => due.into_response(),
        }
    }
}

impl From<ResetError> for Problem {
    fn from(error: ResetError) -> Self {
        match error {
            ResetError::NoContact(problem) => problem,
            ResetError::Unfit(error) => error.into(),
            ResetError::Hasher(error) => error.into(),
            ResetError::OneThing => Problem::new(
                StatusCode::FORBIDDEN,
                "second_factor_required",
                "Another proof is needed",
            )
            .detail("have the code sent to the other contact, or ask those who run the place"),
            ResetError::Challenge(error) => error.into(),
            ResetError::Login(error) => error.into(),
            ResetError::Store(_) => Problem::internal(error),
        }
    }
}

impl IntoResponse for ResetError {
    fn into_response(self) -> Response {
        Problem::from(self).into_response()
    }
}
