//! A fresh proof before something risky (RFC 9470): `POST /v1/auth/step-up`, and `/verify`.
//!
//! [`Fresh`] is what a risky story takes in place of a `Caller`: its signature then says so. The gateway
//! asks for the same where a route's `allow` has `second_factor_within`.

use std::sync::Arc;

use axum::{
    Json,
    extract::{FromRequestParts, State},
    http::{HeaderValue, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use events::Purpose;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use time::Duration;
use utoipa::ToSchema;
use uuid::Uuid;
use web::{Caller, Input, Problem};

use crate::{
    App,
    account::{self, Account, Standing},
    audit::{Act, Entry},
    client::Client,
    factor::{self, Kind},
    second_factor::{self, Asked, Proof, ProofError, Prover},
    session::{self, SessionError, Stepped},
};

/// How long a proof is fresh.
const FRESH: Duration = Duration::minutes(5);
/// Clocks of replicas may differ by this much.
const SKEW: Duration = Duration::seconds(5);

/// Somebody in a session who has proven themselves within five minutes, by a second factor if they
/// have one. Others are answered 403 `second_factor_required`, with what to come back with. Nobody whose
/// account is frozen does anything risky.
pub(crate) struct Fresh(pub(crate) Caller);

/// Which code is to be sent; none to be told what there is.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct StepUpWish {
    #[serde(default)]
    #[schema(nullable = false)]
    factor: Option<Kind>,
}

/// What a fresh proof can be given with.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct StepUp {
    factors: Vec<Kind>,
    /// The code that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    sent: Option<Asked>,
}

/// The fresh proof.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FreshProof {
    proof: Proof,
}

/// Why nothing is fresh.
#[derive(Debug, Error)]
pub(crate) enum StepUpError {
    #[error("a fresh proof is given in a session")]
    NoSession,
    #[error("the caller's account is gone, or shut")]
    Gone,
    #[error("the caller's account is frozen")]
    Frozen,
    #[error("this caller has to prove themselves anew")]
    Stale { mfa: bool },
    #[error(transparent)]
    Proof(#[from] ProofError),
    #[error(transparent)]
    Session(#[from] SessionError),
    #[error("judging how fresh a proof is")]
    Store(#[from] sqlx::Error),
}

impl FromRequestParts<Arc<App>> for Fresh {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Response> {
        let caller = <Caller as FromRequestParts<Arc<App>>>::from_request_parts(parts, app).await;
        let caller = caller.map_err(IntoResponse::into_response)?;
        require(app, &caller)
            .await
            .map_err(IntoResponse::into_response)?;
        Ok(Self(caller))
    }
}

async fn require(app: &App, caller: &Caller) -> Result<(), StepUpError> {
    if caller.sid.is_none() {
        return Err(StepUpError::NoSession);
    }
    let now = app.clock.now();
    let age = caller
        .auth_time
        .map(|at| now.unix_timestamp().saturating_sub(at));
    let is_late = |age: i64| (-SKEW.whole_seconds()..=FRESH.whole_seconds()).contains(&age);
    let is_fresh = age.is_some_and(is_late);
    let mut line = app.pool.acquire().await?;
    let account = account::store::by_id(&mut *line, caller.user_id).await?;
    let account = account.ok_or(StepUpError::Gone)?;
    match account.standing(now) {
        Standing::Active => {}
        Standing::Frozen => return Err(StepUpError::Frozen),
        Standing::Banned | Standing::Deleted => return Err(StepUpError::Gone),
    }
    let mfa = second_factor::enrolled(&mut line, &account).await?.any();
    if is_fresh && (!mfa || caller.acr.as_deref() == Some("mfa")) {
        Ok(())
    } else {
        Err(StepUpError::Stale { mfa })
    }
}

/// Tells what a fresh proof can be given with, and has a code sent if one is asked for.
#[utoipa::path(
    post, path = "/v1/auth/step-up", operation_id = "stepUp", tag = "auth",
    request_body = StepUpWish,
    responses(
        (status = 200, description = "What there is", body = StepUp),
        (status = 403, description = "By a key, or another way without a session (`session_required`)"),
        (status = 422, description = "The account has no such factor, or there is nothing to send for it (`bad_factor`)"),
    )
)]
pub(crate) async fn step_up(
    State(app): State<Arc<App>>,
    caller: Caller,
    client: Client,
    Input(wish): Input<StepUpWish>,
) -> Result<Json<StepUp>, StepUpError> {
    let session_id = caller.sid.ok_or(StepUpError::NoSession)?;
    let now = app.clock.now();
    let mut tx = app.pool.begin().await?;
    let account = account::store::by_id(&mut *tx, caller.user_id).await?;
    let account = account.ok_or(StepUpError::Gone)?;
    let enrolled = second_factor::enrolled(&mut tx, &account).await?;
    let factors = factor::fresh_kinds(&enrolled, &reach(&account));
    let sent = match wish.factor {
        None => None,
        Some(kind) if !factors.contains(&kind) => return Err(ProofError::NotEnrolled.into()),
        Some(kind) => {
            let bound_to = binding(session_id);
            let prover = Prover {
                account: &account,
                bound_to: &bound_to,
                client: &client,
            };
            let purpose = Purpose::StepUp;
            Some(second_factor::ask(&app, &mut tx, &prover, kind, purpose, now).await?)
        }
    };
    tx.commit().await?;
    Ok(Json(StepUp { factors, sent }))
}

/// Gives a fresh proof. The answer is another access token, which says so; the refresh token stays.
#[utoipa::path(
    post, path = "/v1/auth/step-up/verify", operation_id = "stepUpVerify", tag = "auth",
    request_body = FreshProof,
    responses(
        (status = 200, description = "An access token that is fresh", body = Stepped),
        (status = 401, description = "The proof does not hold (`invalid_proof`)"),
        (status = 403, description = "This factor has failed too often (`factor_exhausted`), or there is no session (`session_required`)"),
        (status = 422, description = "Another factor is asked for (`bad_factor`)"),
    )
)]
pub(crate) async fn verify(
    State(app): State<Arc<App>>,
    caller: Caller,
    client: Client,
    Input(FreshProof { proof }): Input<FreshProof>,
) -> Result<Json<Stepped>, StepUpError> {
    let session_id = caller.sid.ok_or(StepUpError::NoSession)?;
    let now = app.clock.now();
    let account = account::store::by_id(&app.pool, caller.user_id).await?;
    let account = account.ok_or(StepUpError::Gone)?;
    {
        let mut line = app.pool.acquire().await?;
        let enrolled = second_factor::enrolled(&mut line, &account).await?;
        if !factor::fresh_kinds(&enrolled, &reach(&account)).contains(&proof.kind()) {
            return Err(ProofError::NotEnrolled.into());
        }
    }
    let bound_to = binding(session_id);
    let prover = Prover {
        account: &account,
        bound_to: &bound_to,
        client: &client,
    };
    let examined = match second_factor::examine(&app, &prover, proof, now).await {
        Ok(examined) => examined,
        Err(error) => {
            second_factor::refuse(&app, &account, &client, &error, now).await?;
            return Err(error.into());
        }
    };
    let mut tx = app.pool.begin().await?;
    let account = account::store::hold(&mut tx, caller.user_id).await?;
    let account =
        account.filter(|it| matches!(it.standing(now), Standing::Active | Standing::Frozen));
    let account = account.ok_or(StepUpError::Gone)?;
    // What was issued while we waited may be void by now; what is issued from now on is not.
    let now = app.clock.now();
    let factor = match examined.settle(&mut tx, &prover, now).await {
        Ok(factor) => factor,
        Err(error) => {
            drop(tx);
            second_factor::refuse(&app, prover.account, &client, &error, now).await?;
            return Err(error.into());
        }
    };
    let stepped = session::step_up(&app, &mut tx, &account, session_id, factor, now).await?;
    let stepped_up = Entry::new(Act::SteppedUp, account.id).session(session_id);
    stepped_up.from(&client).record(&mut tx, now).await?;
    tx.commit().await?;
    Ok(Json(stepped))
}

/// Contacts that a code can be sent to where no second factor is enrolled: what one signs in with.
fn reach(account: &Account) -> Vec<Kind> {
    let mail = account.email.is_some().then_some(Kind::Email);
    let phone = account.phone.is_some().then_some(Kind::Sms);
    mail.into_iter().chain(phone).collect()
}

/// What a code holds for that is sent in a session.
fn binding(session_id: Uuid) -> String {
    format!("session:{session_id}")
}

impl From<StepUpError> for Problem {
    fn from(error: StepUpError) -> Self {
        match error {
            StepUpError::NoSession => Problem::session_required(),
            StepUpError::Gone => Problem::unauthenticated(),
            StepUpError::Frozen => Problem::new(
                StatusCode::FORBIDDEN,
                "account_frozen",
                "This account is frozen",
            ),
            StepUpError::Stale { .. } => Problem::new(
                StatusCode::FORBIDDEN,
                "second_factor_required",
                "Prove again that it is you",
            )
            .detail("POST /v1/auth/step-up tells what with"),
            StepUpError::Proof(error) => error.into(),
            StepUpError::Session(error) => error.into(),
            StepUpError::Store(_) => Problem::internal(error),
        }
    }
}

impl IntoResponse for StepUpError {
    fn into_response(self) -> Response {
        // RFC 9470 §3: what the token lacks.
        let challenge = match &self {
            Self::Stale { mfa: true } => Some(
                r#"Bearer error="insufficient_user_authentication", acr_values="mfa", max_age="300""#,
            ),
            Self::Stale { mfa: false } => {
                Some(r#"Bearer error="insufficient_user_authentication", max_age="300""#)
            }
            _ => None,
        };
        let mut answer = Problem::from(self).into_response();
        if let Some(challenge) = challenge {
            let headers = answer.headers_mut();
            headers.insert(
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static(challenge),
            );
        }
        answer
    }
}
