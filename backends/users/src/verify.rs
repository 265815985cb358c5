//! The code comes back and the account begins: `POST /v1/auth/verify`, and `/resend` for those whose
//! mail got lost.
//!
//! Unknown flow, known address, wrong, late and one guess too many all get the same answer, so that
//! the answer tells nothing but "no".

mod store;

use std::sync::Arc;

use axum::{Json, extract::State, http::StatusCode, response::IntoResponse};
use events::UserVerified;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use utoipa::ToSchema;
use uuid::Uuid;
use web::{Input, Problem};

use crate::{
    App, SCHEMA, account,
    audit::{self, Act},
    code::Code,
    register::{self, CODE_TTL, Flow},
};

/// A code, and the registration it was sent for.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Proof {
    flow_id: Uuid,
    code: Code,
}

/// The account that has begun.
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Verified {
    user_id: Uuid,
}

/// The registration that wants another code.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Resend {
    flow_id: Uuid,
}

/// Why an address is not proven.
#[derive(Debug, Error)]
pub(crate) enum VerifyError {
    #[error("the code does not fit")]
    InvalidCode,
    #[error("drawing a code")]
    Randomness(#[from] getrandom::Error),
    #[error("proving an address")]
    Store(#[from] sqlx::Error),
}

/// Proves the address with the code that was sent there. From now on the account can sign in.
#[utoipa::path(
    post, path = "/v1/auth/verify", operation_id = "verify", tag = "auth",
    request_body = Proof,
    responses(
        (status = 200, description = "The account is open", body = Verified),
        (status = 400, description = "The code does not fit, or no longer (`invalid_code`)"),
    )
)]
pub(crate) async fn verify(
    State(app): State<Arc<App>>,
    Input(Proof { flow_id, code }): Input<Proof>,
) -> Result<Json<Verified>, VerifyError> {
    let now = app.clock.now();
    // The try is paid in a commit of its own, before the code is looked at: guesses in parallel
    // can't share one, and who hangs up early has paid as well.
    let code_hash = store::spend_try(&app.pool, flow_id, now).await?.flatten();
    if !app.codes.fits(flow_id, &code, code_hash.as_deref()) {
        return Err(VerifyError::InvalidCode);
    }

    let mut tx = app.pool.begin().await?;
    // Of two that bring the right code at once, the second finds nothing left to take.
    let wish = store::take(&mut tx, flow_id, code_hash.as_deref())
        .await?
        .ok_or(VerifyError::InvalidCode)?;
    let user_id = Uuid::now_v7();
    let begun =
        account::store::begin(&mut tx, user_id, &wish.email, &wish.password_hash, now).await?;
    if !begun {
        // The address found an owner after this flow was begun. It is theirs.
        return Err(VerifyError::InvalidCode);
    }
    store::end_others(&mut tx, &wish.email).await?;
    account::store::grant(&mut tx, user_id, account::DEFAULT_ROLE, now).await?;
    audit::record(&mut tx, now, Act::Verified, user_id, None).await?;
    let verified = UserVerified {
        user_id,
        email: Some(wish.email),
        phone: None,
    };
    pg::outbox::publish(&mut tx, SCHEMA, &verified).await?;
    tx.commit().await?;
    tracing::info!(%user_id, "an account is open");
    Ok(Json(Verified { user_id }))
}

/// Sends another code for a registration; the earlier one is void. An address is
/// sent only so many, and the answer is the same when none is.
#[utoipa::path(
    post, path = "/v1/auth/verify/resend", operation_id = "resendCode", tag = "auth",
    request_body = Resend,
    responses((status = 202, description = "If the flow waits for a code, another is on its way", body = Flow))
)]
pub(crate) async fn resend(
    State(app): State<Arc<App>>,
    Input(Resend { flow_id }): Input<Resend>,
) -> Result<(StatusCode, Json<Flow>), VerifyError> {
    let code = Code::random()?;
    let now = app.clock.now();
    let expires_at = now + CODE_TTL;
    let mut tx = app.pool.begin().await?;
    let code_hash = app.codes.seal(flow_id, &code);
    if let Some(to) = store::addressee(&mut tx, flow_id).await?
        && register::store::spend_mail(&mut tx, &to.email, now).await?
        && store::renew(&mut tx, flow_id, &code_hash, expires_at).await?
    {
        let code = to.has_code.then_some(&code);
        register::send_mail(&mut tx, &to.email, code, expires_at).await?;
    }
    tx.commit().await?;
    Ok((StatusCode::ACCEPTED, Json(Flow { flow_id })))
}

impl From<VerifyError> for Problem {
    fn from(error: VerifyError) -> Self {
        match error {
            VerifyError::InvalidCode => Problem::new(
                StatusCode::BAD_REQUEST,
                "invalid_code",
                "The code does not fit, or no longer",
            ),
            VerifyError::Randomness(_) | VerifyError::Store(_) => Problem::internal(error),
        }
    }
}

impl IntoResponse for VerifyError {
    fn into_response(self) -> axum::response::Response {
        Problem::from(self).into_response()
    }
}
