//! What proves a person beside their first proof: `/v1/me/mfa`. Enrolling and removing is here and in
//! the rooms below; [`prove`] is how a proof is asked for and judged, wherever one is due.

pub(crate) mod message;
mod prove;
pub(crate) mod recovery;
pub(crate) mod store;
pub(crate) mod totp;

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State, rejection::PathRejection},
    http::StatusCode,
    response::IntoResponse,
};
use events::Notice;
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use thiserror::Error;
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;
use web::{Caller, Problem, SignedIn};

pub(crate) use prove::{Asked, Proof, ProofError, Prover, ask, examine};

use crate::{
    App,
    account::{self, Account},
    audit::{self, Act, Entry},
    client::Client,
    factor::{Enrolled, Kind},
    notice,
    refusal::Shown,
    step_up::Fresh,
};

/// Second factors of one account. More than anybody can tell apart.
const MAX_FACTORS: i64 = 10;

/// What an account has enrolled.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Factors {
    items: Vec<FactorView>,
    /// Codes on paper that were not spent yet.
    recovery_codes_left: i64,
}

/// A second factor as its owner sees it.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FactorView {
    id: Uuid,
    #[schema(value_type = Kind)]
    kind: String,
    name: String,
    /// False for an app whose first code has not come back yet: it proves nothing.
    confirmed: bool,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339::option")]
    last_used_at: Option<OffsetDateTime>,
}

/// What its owner calls a factor: one line of up to 64 characters.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(try_from = "String")]
#[schema(value_type = String, min_length = 1, max_length = 64, example = "my phone")]
pub(crate) struct FactorName(String);

impl TryFrom<String> for FactorName {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let text = text.trim();
        if !(1..=64).contains(&text.chars().count()) || text.chars().any(char::is_control) {
            return Err("expected one line of 1 to 64 characters");
        }
        Ok(Self(text.to_owned()))
    }
}

/// Why nothing was done to a factor.
#[derive(Debug, Error)]
pub(crate) enum FactorError {
    #[error("the caller's account is gone")]
    Gone,
    #[error("no such factor of the caller's")]
    NotFound,
    #[error("the code does not fit")]
    InvalidCode,
    #[error("there is one of this kind already")]
    Already,
    #[error("the account has no contact of this kind, or nothing to go with it")]
    NoContact,
    #[error("there may be {MAX_FACTORS} second factors")]
    TooMany,
    #[error("recovery codes are for who has a second factor")]
    NothingToRecover,
    #[error("drawing a secret")]
    Randomness(#[from] getrandom::Error),
    #[error("keeping second factors")]
    Store(#[from] sqlx::Error),
}

/// What the account can prove itself with.
pub(crate) async fn enrolled(
    tx: &mut PgConnection,
    account: &Account,
) -> Result<Enrolled, sqlx::Error> {
    let (kinds, has_recovery_codes) = store::enrolled(tx, account.id).await?;
    let mut kinds: Vec<Kind> = kinds.iter().filter_map(|name| kind(name)).collect();
    // A contact that was given up proves nothing any more.
    kinds.retain(|kind| match kind {
        Kind::Sms => account.phone.is_some(),
        Kind::Email => account.email.is_some(),
        _ => true,
    });
    Ok(Enrolled {
        kinds,
        has_recovery_codes,
        has_password: account.password_hash.is_some(),
    })
}

fn kind(name: &str) -> Option<Kind> {
    match name {
        "totp" => Some(Kind::Totp),
        "sms" => Some(Kind::Sms),
        "email" => Some(Kind::Email),
        "passkey" => Some(Kind::Passkey),
        _ => None,
    }
}

/// The caller's second factors, oldest first.
#[utoipa::path(
    get, path = "/v1/me/mfa", operation_id = "listSecondFactors", tag = "me",
    responses(
        (status = 200, description = "All of them: there are never many", body = Factors),
        (status = 403, description = "By a key, or another way without a session (`session_required`)"),
    )
)]
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    SignedIn(caller): SignedIn,
) -> Result<Json<Factors>, FactorError> {
    let items = store::of_account(&app.pool, caller.user_id, MAX_FACTORS).await?;
    let recovery_codes_left = store::recovery_codes_left(&app.pool, caller.user_id).await?;
    Ok(Json(Factors {
        items,
        recovery_codes_left,
    }))
}

/// Removes a second factor. With the last one go the recovery codes.
#[utoipa::path(
    delete, path = "/v1/me/mfa/{id}", operation_id = "removeSecondFactor", tag = "me",
    params(("id" = Uuid, Path, description = "The factor")),
    responses(
        (status = 204, description = "It proves nothing any more"),
        (status = 403, description = "A fresh proof is due (`second_factor_required`)"),
        (status = 404, description = "`not_found`: not there, or not the caller's"),
    )
)]
pub(crate) async fn remove(
    State(app): State<Arc<App>>,
    Fresh(caller): Fresh,
    id: Result<Path<Uuid>, PathRejection>,
) -> Result<StatusCode, FactorError> {
    let Path(id) = id.map_err(|_| FactorError::NotFound)?;
    let now = app.clock.now();
    let mut tx = app.pool.begin().await?;
    let account = account::store::hold(&mut tx, caller.user_id).await?;
    let account = account.ok_or(FactorError::Gone)?;
    let name = store::remove(&mut tx, caller.user_id, id).await?;
    let name = name.ok_or(FactorError::NotFound)?;
    if !enrolled(&mut tx, &account).await?.any() {
        store::remove_recovery_codes(&mut tx, caller.user_id).await?;
    }
    notice::tell(
        &mut tx,
        &account,
        Notice::SecondFactorRemoved,
        Some(&name),
        now,
    )
    .await?;
    audit::record(
        &mut tx,
        now,
        Act::SecondFactorRemoved,
        caller.user_id,
        caller.sid,
    )
    .await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Writes down that a proof was refused, if it was that which failed.
pub(crate) async fn refuse(
    app: &App,
    account: &Account,
    client: &Client,
    why: &ProofError,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    if !matches!(why, ProofError::Invalid | ProofError::Exhausted) {
        return Ok(());
    }
    app.refusals.count(Shown::SecondFactor);
    let mut tx = app.pool.begin().await?;
    let refused = Entry::new(Act::SecondFactorRefused, account.id).from(client);
    refused.record(&mut tx, now).await?;
    tx.commit().await
}

/// Notes that an account has a new second factor, in the commit that makes it so.
async fn note_added(
    tx: &mut PgConnection,
    account: &Account,
    caller: &Caller,
    name: &str,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    notice::tell(tx, account, Notice::SecondFactorAdded, Some(name), now).await?;
    audit::record(tx, now, Act::SecondFactorAdded, account.id, caller.sid).await
}

impl From<FactorError> for Problem {
    fn from(error: FactorError) -> Self {
        let conflict = |code, title: &'static str| {
            Problem::new(StatusCode::CONFLICT, code, title).detail(error.to_string())
        };
        match error {
            FactorError::Gone => Problem::unauthenticated(),
            FactorError::NotFound => Problem::not_found(),
            FactorError::InvalidCode => Problem::new(
                StatusCode::BAD_REQUEST,
                "invalid_code",
                "The code does not fit, or no longer",
            ),
            FactorError::Already => conflict("already_enrolled", "Already enrolled"),
            FactorError::TooMany => conflict("too_many_factors", "Too many factors"),
            FactorError::NothingToRecover => conflict("no_second_factor", "No second factor"),
            FactorError::NoContact => Problem::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "bad_factor",
                "This can't be a second factor here",
            )
            .detail(error.to_string()),
            FactorError::Randomness(_) | FactorError::Store(_) => Problem::internal(error),
        }
    }
}

impl IntoResponse for FactorError {
    fn into_response(self) -> axum::response::Response {
        Problem::from(self).into_response()
    }
}
