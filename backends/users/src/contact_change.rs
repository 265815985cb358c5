//! Another address of mail or phone number: `POST /v1/me/email`, `/v1/me/phone`, and `/confirm` for
//! each. The new one is proven before it counts. The old one is told, with a link that undoes it for
//! three days: whoever holds a session for a while must not be able to take the account for good.

pub(crate) mod store;
mod undo;

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use events::{Notice, Purpose};
use serde::Deserialize;
use serde_json::json;
use thiserror::Error;
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;
use web::{Caller, Input, Problem, SignedIn};

pub(crate) use undo::{UndoToken, undo};

use crate::{
    App,
    account::{self, Account, Standing},
    audit::{self, Act},
    challenge::{self, ChallengeError, LinkToken, Proven, Sends, Tried, Wanted},
    code::Code,
    contact::{Contact, Phone},
    email::Email,
    notice,
    register::Flow,
    second_factor,
    step_up::Fresh,
};

/// The address of mail to be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewEmail {
    email: Email,
}

/// The phone number to be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewPhone {
    phone: Phone,
}

/// The code that came to the new contact.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Confirmation {
    flow_id: Uuid,
    code: Code,
}

/// Why a contact stays as it is. That the new one is somebody else's is not among the reasons.
#[derive(Debug, Error)]
pub(crate) enum ContactError {
    #[error("the caller's account is gone")]
    Gone,
    #[error("the link is not good, or no longer")]
    InvalidLink,
    #[error(transparent)]
    Challenge(#[from] ChallengeError),
    #[error("drawing a token")]
    Randomness(#[from] getrandom::Error),
    #[error("exchanging a contact")]
    Store(#[from] sqlx::Error),
}

/// Has a code sent to an address of mail that the account is to have.
#[utoipa::path(
    post, path = "/v1/me/email", operation_id = "changeEmail", tag = "me",
    request_body = NewEmail,
    responses(
        (status = 202, description = "If the address is nobody's, a code is on its way", body = Flow),
        (status = 403, description = "A fresh proof is due (`second_factor_required`)"),
    )
)]
pub(crate) async fn change_email(
    State(app): State<Arc<App>>,
    Fresh(caller): Fresh,
    Input(wish): Input<NewEmail>,
) -> Result<(StatusCode, Json<Flow>), ContactError> {
    let to = Contact::Email(wish.email);
    ask(&app, &caller, &to, Purpose::ChangeEmail).await
}

/// Has a code sent to a phone number that the account is to have.
#[utoipa::path(
    post, path = "/v1/me/phone", operation_id = "changePhone", tag = "me",
    request_body = NewPhone,
    responses(
        (status = 202, description = "If the number is nobody's, a code is on its way", body = Flow),
        (status = 403, description = "A fresh proof is due (`second_factor_required`)"),
    )
)]
pub(crate) async fn change_phone(
    State(app): State<Arc<App>>,
    Fresh(caller): Fresh,
    Input(wish): Input<NewPhone>,
) -> Result<(StatusCode, Json<Flow>), ContactError> {
    let to = Contact::Phone(wish.phone);
    ask(&app, &caller, &to, Purpose::ChangePhone).await
}

/// Makes the new address of mail the account's.
#[utoipa::path(
    post, path = "/v1/me/email/confirm", operation_id = "confirmEmail", tag = "me",
    request_body = Confirmation,
    responses(
        (status = 204, description = "It is the account's"),
        (status = 400, description = "The code does not fit, or no longer (`invalid_code`)"),
        (status = 403, description = "By a key, or another way without a session (`session_required`)"),
    )
)]
pub(crate) async fn confirm_email(
    State(app): State<Arc<App>>,
    SignedIn(caller): SignedIn,
    Input(wish): Input<Confirmation>,
) -> Result<StatusCode, ContactError> {
    confirm(&app, &caller, &wish, Purpose::ChangeEmail).await
}

/// Makes the new phone number the account's.
#[utoipa::path(
    post, path = "/v1/me/phone/confirm", operation_id = "confirmPhone", tag = "me",
    request_body = Confirmation,
    responses(
        (status = 204, description = "It is the account's"),
        (status = 400, description = "The code does not fit, or no longer (`invalid_code`)"),
        (status = 403, description = "By a key, or another way without a session (`session_required`)"),
    )
)]
pub(crate) async fn confirm_phone(
    State(app): State<Arc<App>>,
    SignedIn(caller): SignedIn,
    Input(wish): Input<Confirmation>,
) -> Result<StatusCode, ContactError> {
    confirm(&app, &caller, &wish, Purpose::ChangePhone).await
}

async fn ask(
    app: &App,
    caller: &Caller,
    to: &Contact,
    purpose: Purpose,
) -> Result<(StatusCode, Json<Flow>), ContactError> {
    let now = app.clock.now();
    let mut tx = app.pool.begin().await?;
    let is_known = account::store::is_taken(&mut tx, to).await?;
    let wanted = Wanted {
        purpose,
        to,
        account_id: Some(caller.user_id),
        bound_to: None,
        sends: if is_known { Sends::Known } else { Sends::Code },
        state: json!({}),
    };
    let flow_id = challenge::issue(app, &mut tx, &wanted, now).await?;
    tx.commit().await?;
    Ok((StatusCode::ACCEPTED, Json(Flow { flow_id })))
}

async fn confirm(
    app: &App,
    caller: &Caller,
    wish: &Confirmation,
    purpose: Purpose,
) -> Result<StatusCode, ContactError> {
    let now = app.clock.now();
    let tried = Tried::Code(&wish.code);
    let proven = challenge::prove(app, wish.flow_id, &[purpose], tried, now).await?;
    if proven.account_id != Some(caller.user_id) {
        return Err(ChallengeError::Invalid.into());
    }
    exchange(app, &proven, caller.sid, now).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The same by the link of the mail, which reached the new address.
pub(crate) async fn by_link(
    app: &App,
    flow_id: Uuid,
    token: &LinkToken,
) -> Result<(), ContactError> {
    let now = app.clock.now();
    let purposes = [Purpose::ChangeEmail];
    let proven = challenge::prove(app, flow_id, &purposes, Tried::Link(token), now).await?;
    exchange(app, &proven, None, now).await
}

async fn exchange(
    app: &App,
    proven: &Proven,
    session_id: Option<Uuid>,
    now: OffsetDateTime,
) -> Result<(), ContactError> {
    let mut tx = app.pool.begin().await?;
    if !challenge::take(&mut tx, proven).await? {
        return Err(ChallengeError::Invalid.into());
    }
    let id = proven.account_id.ok_or(ContactError::Gone)?;
    let before = account::store::hold(&mut tx, id).await?;
    // An account that was frozen or given up stays as it is.
    let before = before.filter(|account| account.standing(now) == Standing::Active);
    let before = before.ok_or(ContactError::Gone)?;
    // The contact may have found an owner after this flow was begun. It is theirs.
    if !store::exchange(&mut tx, id, &proven.contact).await? {
        return Err(ChallengeError::Invalid.into());
    }
    challenge::end_others(&mut tx, proven.contact.as_str()).await?;
    second_factor::store::rename_message(&mut tx, id, &proven.contact).await?;
    let (what, act) = match &proven.contact {
        Contact::Email(_) => (Notice::EmailChanged, Act::EmailChanged),
        Contact::Phone(_) => (Notice::PhoneChanged, Act::PhoneChanged),
    };
    let masked = proven.contact.masked();
    let old = of_its_kind(&before, &proven.contact);
    if let Some(old) = &old {
        store::forget_proofs(&mut tx, id, old).await?;
    }
    // Who had none of the kind is told where they are reached, and may undo it as well.
    if let Some(to) = old.clone().or_else(|| before.contact()) {
        let undo = undo::allow(&mut tx, id, &proven.contact, old.as_ref(), now).await?;
        let about = Some(masked.as_str());
        notice::tell_at(&mut tx, &before, &to, what, about, Some(undo), now).await?;
    }
    audit::record(&mut tx, now, act, id, session_id).await?;
    tx.commit().await?;
    Ok(())
}

/// The contact that a new one takes the place of.
fn of_its_kind(account: &Account, contact: &Contact) -> Option<Contact> {
    match contact {
        Contact::Email(_) => account.mailbox(),
        Contact::Phone(_) => account.number(),
    }
}

impl From<ContactError> for Problem {
    fn from(error: ContactError) -> Self {
        match error {
            ContactError::Gone => Problem::unauthenticated(),
            ContactError::InvalidLink => Problem::new(
                StatusCode::BAD_REQUEST,
                "invalid_link",
                "The link is not good, or no longer",
            ),
            ContactError::Challenge(error) => error.into(),
            ContactError::Randomness(_) | ContactError::Store(_) => Problem::internal(error),
        }
    }
}

impl IntoResponse for ContactError {
    fn into_response(self) -> Response {
        Problem::from(self).into_response()
    }
}
