//! The code comes back and the account begins: `POST /v1/auth/verify`, and `/resend` for those whose
//! message got lost, whatever it was for.

use std::sync::Arc;

use axum::{Json, extract::State, http::StatusCode};
use events::{Purpose, UserVerified};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;
use web::Input;

use crate::{
    App, SCHEMA, account,
    audit::{self, Act},
    challenge::{self, ChallengeError, LinkToken, Tried},
    code::Code,
    contact::Contact,
    pace,
    register::Flow,
};

/// A code, and the registration it was sent for.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct VerifyProof {
    flow_id: Uuid,
    code: Code,
}

/// The account that has begun.
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Verified {
    user_id: Uuid,
}

/// The flow that wants another code.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Resend {
    flow_id: Uuid,
}

/// Proves the contact with the code that was sent there. From now on the account can sign in.
#[utoipa::path(
    post, path = "/v1/auth/verify", operation_id = "verify", tag = "auth",
    request_body = VerifyProof,
    responses(
        (status = 200, description = "The account is open", body = Verified),
        (status = 400, description = "The code does not fit, or no longer (`invalid_code`)"),
    )
)]
pub(crate) async fn verify(
    State(app): State<Arc<App>>,
    Input(VerifyProof { flow_id, code }): Input<VerifyProof>,
) -> Result<Json<Verified>, ChallengeError> {
    let user_id = begin(&app, flow_id, Tried::Code(&code)).await?;
    Ok(Json(Verified { user_id }))
}

/// The same by the link of the mail.
pub(crate) async fn by_link(
    app: &App,
    flow_id: Uuid,
    token: &LinkToken,
) -> Result<Uuid, ChallengeError> {
    begin(app, flow_id, Tried::Link(token)).await
}

async fn begin(app: &App, flow_id: Uuid, tried: Tried<'_>) -> Result<Uuid, ChallengeError> {
    let now = app.clock.now();
    let purposes = [Purpose::VerifyEmail, Purpose::VerifyPhone];
    let proven = challenge::prove(app, flow_id, &purposes, tried, now).await?;
    let mut tx = app.pool.begin().await?;
    // Of two that bring the right code at once, the second finds nothing left to take.
    if !challenge::take(&mut tx, &proven).await? {
        return Err(ChallengeError::Invalid);
    }
    let password_hash = proven.state["password_hash"].as_str();
    let user_id = open(&mut tx, &proven.contact, password_hash, now).await?;
    // The contact may have found an owner after this flow was begun. It is theirs.
    let user_id = user_id.ok_or(ChallengeError::Invalid)?;
    tx.commit().await?;
    tracing::info!(%user_id, "an account is open");
    Ok(user_id)
}

/// Opens the account of a contact that was proven a moment ago; none if it has one.
pub(crate) async fn open(
    tx: &mut sqlx::PgConnection,
    contact: &Contact,
    password_hash: Option<&str>,
    now: OffsetDateTime,
) -> Result<Option<Uuid>, sqlx::Error> {
    let user_id = Uuid::now_v7();
    if !account::store::begin(tx, user_id, contact, password_hash, now).await? {
        return Ok(None);
    }
    challenge::end_others(tx, contact.as_str()).await?;
    account::store::grant(tx, user_id, account::DEFAULT_ROLE, now).await?;
    audit::record(tx, now, Act::Verified, user_id, None).await?;
    let mut verified = UserVerified {
        user_id,
        email: None,
        phone: None,
    };
    match contact {
        Contact::Email(email) => verified.email = Some(email.as_str().to_owned()),
        Contact::Phone(phone) => verified.phone = Some(phone.as_str().to_owned()),
    }
    pg::outbox::publish(tx, SCHEMA, &verified).await?;
    Ok(Some(user_id))
}

/// Sends another code for a flow; the earlier one is void. A contact is sent only so many, and the
/// answer is the same when none is.
#[utoipa::path(
    post, path = "/v1/auth/verify/resend", operation_id = "resendCode", tag = "auth",
    request_body = Resend,
    responses((status = 202, description = "If the flow waits for a code, another is on its way", body = Flow))
)]
pub(crate) async fn resend(
    State(app): State<Arc<App>>,
    Input(Resend { flow_id }): Input<Resend>,
) -> Result<(StatusCode, Json<Flow>), ChallengeError> {
    let renew = async {
        let mut tx = app.pool.begin().await?;
        challenge::renew(&app, &mut tx, flow_id, app.clock.now()).await?;
        tx.commit().await?;
        Ok::<_, ChallengeError>(())
    };
    pace::even(renew).await?;
    Ok((StatusCode::ACCEPTED, Json(Flow { flow_id })))
}
