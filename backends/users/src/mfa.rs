//! Whoever has given a first proof, and has enrolled a second factor, goes on here: `POST
//! /v1/auth/mfa/challenge` has a code sent, `POST /v1/auth/mfa/verify` takes the proof.
//!
//! Between the two proofs they hold an `mfa_token`: of one account, for one act, from one program, for
//! five minutes and five tries, and good once.

mod store;

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use events::Purpose;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use sqlx::PgConnection;
use thiserror::Error;
use time::{Duration, OffsetDateTime};
use utoipa::ToSchema;
use web::{Input, Problem};

pub(crate) use store::sweep;

use crate::{
    App,
    account::{self, Account},
    client::Client,
    factor::{self, Factor, Kind},
    key::Tag,
    login::{self, Entrance, LoginError},
    password_reset,
    second_factor::{self, Asked, Proof, ProofError, Prover},
    session::Tokens,
};

/// How long somebody may take over the second proof.
const TTL: Duration = Duration::minutes(5);
/// Wrong second proofs per first proof.
const TRIES: i16 = 5;

/// What goes on with a sign-in. It has no `Debug`.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
#[schema(value_type = String, max_length = 128)]
pub(crate) struct MfaToken(String);

/// What waits for a second proof.
pub(crate) struct Wait<'a> {
    account: &'a Account,
    act: Pending,
    proven: &'a [Factor],
    state: Value,
}

/// What a second proof ends in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pending {
    SignIn,
    ResetPassword,
}

/// The answer to somebody whose second factor is due.
pub(crate) struct Due {
    token: MfaToken,
    kinds: Vec<Kind>,
}

/// Which code is to be sent.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Ask {
    mfa_token: MfaToken,
    factor: Kind,
}

/// The second proof.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Second {
    mfa_token: MfaToken,
    proof: Proof,
}

/// Why somebody does not get any further.
#[derive(Debug, Error)]
pub(crate) enum MfaError {
    #[error("the mfa_token is not good, or no longer")]
    InvalidToken,
    #[error(transparent)]
    Proof(#[from] ProofError),
    #[error(transparent)]
    Login(#[from] LoginError),
    #[error("going on with a sign-in")]
    Store(#[from] sqlx::Error),
}

impl MfaToken {
    fn random() -> Result<Self, getrandom::Error> {
        let mut bits = [0; 32];
        getrandom::fill(&mut bits)?;
        Ok(Self(format!("mt_{}", BASE64_URL_SAFE_NO_PAD.encode(bits))))
    }

    fn hash(&self) -> Tag {
        Sha256::digest(&self.0).into()
    }

    /// What a code holds for that is sent for it.
    fn binding(&self) -> String {
        format!("login:{}", BASE64_URL_SAFE_NO_PAD.encode(self.hash()))
    }
}

impl<'a> Wait<'a> {
    /// A sign-in.
    pub(crate) fn sign_in(account: &'a Account, proven: &'a [Factor]) -> Self {
        Self {
            account,
            act: Pending::SignIn,
            proven,
            state: json!({}),
        }
    }

    /// Another password, whose hash is kept until then.
    pub(crate) fn reset_password(account: &'a Account, proven: &'a [Factor], hash: &str) -> Self {
        Self {
            account,
            act: Pending::ResetPassword,
            proven,
            state: json!({ "password_hash": hash }),
        }
    }
}

impl Pending {
    fn name(self) -> &'static str {
        match self {
            Self::SignIn => "sign_in",
            Self::ResetPassword => "reset_password",
        }
    }

    fn named(name: &str) -> Self {
        if name == "reset_password" {
            Self::ResetPassword
        } else {
            Self::SignIn
        }
    }
}

/// Lets an act wait for a second proof of one of these kinds.
pub(crate) async fn wait(
    tx: &mut PgConnection,
    wait: Wait<'_>,
    kinds: Vec<Kind>,
    client: &Client,
    now: OffsetDateTime,
) -> Result<Due, LoginError> {
    let token = MfaToken::random()?;
    store::keep(tx, &token.hash(), &wait, client, TRIES, now + TTL).await?;
    Ok(Due { token, kinds })
}

/// Has a code sent for a sign-in that waits for its second factor, or gives what a passkey signs.
#[utoipa::path(
    post, path = "/v1/auth/mfa/challenge", operation_id = "mfaChallenge", tag = "auth",
    request_body = Ask,
    responses(
        (status = 200, description = "The code is on its way", body = Asked),
        (status = 401, description = "The token is not good, or no longer (`invalid_token`)"),
        (status = 422, description = "The account has no such factor, or there is nothing to send for it (`bad_factor`)"),
    )
)]
pub(crate) async fn challenge(
    State(app): State<Arc<App>>,
    client: Client,
    Input(ask): Input<Ask>,
) -> Result<Json<Asked>, MfaError> {
    let now = app.clock.now();
    let token_hash = ask.mfa_token.hash();
    let mut tx = app.pool.begin().await?;
    let waiting = store::look(&mut tx, &token_hash, &client, now).await?;
    let waiting = waiting.ok_or(MfaError::InvalidToken)?;
    let account = account::store::by_id(&mut *tx, waiting.account_id).await?;
    let account = account.ok_or(MfaError::InvalidToken)?;
    let binding = ask.mfa_token.binding();
    let prover = Prover {
        account: &account,
        bound_to: &binding,
        client: &client,
    };
    let enrolled = second_factor::enrolled(&mut tx, &account).await?;
    let factor::Verdict::Due(due) = factor::judge(&waiting.proven, &enrolled) else {
        return Err(MfaError::InvalidToken);
    };
    if !due.contains(&ask.factor) {
        return Err(ProofError::NotEnrolled.into());
    }
    let asked = second_factor::ask(
        &app,
        &mut tx,
        &prover,
        ask.factor,
        Purpose::SecondFactor,
        now,
    )
    .await?;
    tx.commit().await?;
    Ok(Json(asked))
}

/// Gives the second proof. After a sign-in the answer is the tokens; after a password was to be reset
/// it is 204, and nobody is signed in by it.
#[utoipa::path(
    post, path = "/v1/auth/mfa/verify", operation_id = "mfaVerify", tag = "auth",
    request_body = Second,
    responses(
        (status = 200, description = "Signed in", body = Tokens),
        (status = 204, description = "The password is the new one"),
        (status = 401, description = "The token is not good, or no longer (`invalid_token`), or the proof does not hold (`invalid_proof`)"),
        (status = 403, description = "This factor has failed too often (`factor_exhausted`), or the account is banned (`account_banned`)"),
    )
)]
pub(crate) async fn verify(
    State(app): State<Arc<App>>,
    client: Client,
    Input(Second { mfa_token, proof }): Input<Second>,
) -> Result<Response, MfaError> {
    let now = app.clock.now();
    let token_hash = mfa_token.hash();
    // Paid before the proof is looked at, as everywhere.
    let waiting = store::spend_try(&app.pool, &token_hash, &client, now).await?;
    let waiting = waiting.ok_or(MfaError::InvalidToken)?;
    let account = account::store::by_id(&app.pool, waiting.account_id).await?;
    let account = account.ok_or(MfaError::InvalidToken)?;
    let binding = mfa_token.binding();
    let prover = Prover {
        account: &account,
        bound_to: &binding,
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
    let held = account::store::hold(&mut tx, account.id).await?;
    let held = held.ok_or(MfaError::InvalidToken)?;
    let second = match examined.settle(&mut tx, &prover, now).await {
        Ok(second) => second,
        Err(error) => {
            drop(tx);
            second_factor::refuse(&app, &account, &client, &error, now).await?;
            return Err(error.into());
        }
    };
    // Of two that bring good proofs at once the second finds nothing left to go on with.
    if !store::take(&mut tx, &token_hash).await? {
        return Err(MfaError::InvalidToken);
    }
    let mut proven = waiting.proven;
    proven.push(second);
    let answer = match waiting.act {
        Pending::SignIn => {
            let entrance = login::complete_login(&app, &mut tx, &account, &proven, &client).await?;
            if matches!(entrance, Entrance::SecondFactorDue(_)) {
                // What was offered is not enough any more: they begin anew.
                return Err(MfaError::InvalidToken);
            }
            entrance.into_response()
        }
        Pending::ResetPassword => {
            let hash = waiting.state["password_hash"].as_str();
            let hash = hash.ok_or(MfaError::InvalidToken)?;
            // The password that was forgotten proves nothing here, though somebody knows it.
            let mut enrolled = second_factor::enrolled(&mut tx, &held).await?;
            enrolled.has_password = false;
            if factor::judge(&proven, &enrolled) != factor::Verdict::Enough {
                return Err(MfaError::InvalidToken);
            }
            password_reset::complete(&mut tx, &held, hash, now).await?;
            StatusCode::NO_CONTENT.into_response()
        }
    };
    tx.commit().await?;
    Ok(answer)
}

impl IntoResponse for Due {
    fn into_response(self) -> Response {
        Problem::new(
            StatusCode::UNAUTHORIZED,
            "mfa_required",
            "A second factor is due",
        )
        .with("mfa_token", json!(self.token))
        .with("factors", json!(self.kinds))
        .with("expires_in", json!(TTL.whole_seconds()))
        .into_response()
    }
}

impl From<MfaError> for Problem {
    fn from(error: MfaError) -> Self {
        match error {
            MfaError::InvalidToken => Problem::new(
                StatusCode::UNAUTHORIZED,
                "invalid_token",
                "The token is not good, or no longer",
            ),
            MfaError::Proof(error) => error.into(),
            MfaError::Login(error) => error.into(),
            MfaError::Store(_) => Problem::internal(error),
        }
    }
}

impl IntoResponse for MfaError {
    fn into_response(self) -> Response {
        Problem::from(self).into_response()
    }
}
