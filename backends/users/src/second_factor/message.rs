//! Codes by text message and by mail as a second factor: `POST /v1/me/mfa/sms`, `/email`. The contact
//! was proven when the account got it, so there is nothing more to confirm.

use std::sync::Arc;

use axum::{extract::State, http::StatusCode};
use uuid::Uuid;
use web::Caller;

use super::{FactorError, MAX_FACTORS, enrolled, note_added, store};
use crate::{App, account, factor::Kind, step_up::Fresh};

/// Makes codes by text message a second factor.
#[utoipa::path(
    post, path = "/v1/me/mfa/sms", operation_id = "enrolSms", tag = "me",
    responses(
        (status = 204, description = "It is a second factor"),
        (status = 403, description = "A fresh proof is due (`second_factor_required`)"),
        (status = 409, description = "`already_enrolled`"),
        (status = 422, description = "The account has no phone number, or no other first proof (`bad_factor`)"),
    )
)]
pub(crate) async fn enrol_sms(
    State(app): State<Arc<App>>,
    Fresh(caller): Fresh,
) -> Result<StatusCode, FactorError> {
    enrol(&app, &caller, Kind::Sms).await
}

/// Makes codes by mail a second factor.
#[utoipa::path(
    post, path = "/v1/me/mfa/email", operation_id = "enrolEmail", tag = "me",
    responses(
        (status = 204, description = "It is a second factor"),
        (status = 403, description = "A fresh proof is due (`second_factor_required`)"),
        (status = 409, description = "`already_enrolled`"),
        (status = 422, description = "The account has no address of mail, or no other first proof (`bad_factor`)"),
    )
)]
pub(crate) async fn enrol_email(
    State(app): State<Arc<App>>,
    Fresh(caller): Fresh,
) -> Result<StatusCode, FactorError> {
    enrol(&app, &caller, Kind::Email).await
}

async fn enrol(app: &App, caller: &Caller, kind: Kind) -> Result<StatusCode, FactorError> {
    let now = app.clock.now();
    let mut tx = app.pool.begin().await?;
    let account = account::store::hold(&mut tx, caller.user_id).await?;
    let account = account.ok_or(FactorError::Gone)?;
    let (name, contact, other) = match kind {
        Kind::Sms => ("sms", account.number(), account.mailbox()),
        _ => ("email", account.mailbox(), account.number()),
    };
    let contact = contact.ok_or(FactorError::NoContact)?;
    // A second factor wants a first one beside it.
    if account.password_hash.is_none() && other.is_none() {
        return Err(FactorError::NoContact);
    }
    if enrolled(&mut tx, &account).await?.kinds.contains(&kind) {
        return Err(FactorError::Already);
    }
    if store::count(&mut tx, account.id).await? >= MAX_FACTORS {
        return Err(FactorError::TooMany);
    }
    let id = Uuid::now_v7();
    if !store::add_message(&mut tx, id, account.id, name, &contact.masked(), now).await? {
        return Err(FactorError::Already);
    }
    note_added(&mut tx, &account, caller, &contact.masked(), now).await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}
