//! How good a password would be: `POST /v1/auth/password/check`, for the form in which it is chosen.
//!
//! The password itself is sent, not a prefix of its hash as one asks a stranger's list: the same
//! password comes here a moment later to be chosen, and the list is our own. It is neither logged nor
//! kept, and the answer is not stored on its way.

use std::sync::Arc;

use axum::{Json, extract::State};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use utoipa::ToSchema;
use web::{Input, Problem};

use super::{Password, queue::QueueError};
use crate::App;

/// A password that somebody thinks of, and what it should not be made from.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Candidate {
    #[schema(value_type = String, format = "password", max_length = 1024)]
    password: Password,
    /// The person's own: address, number, name.
    #[serde(default)]
    #[schema(max_items = 10)]
    words: Vec<String>,
}

/// What it would be worth.
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Opinion {
    /// From 0, found at once, to 4, never found.
    #[schema(minimum = 0, maximum = 4)]
    score: u8,
    /// Whether attackers know it.
    breached: bool,
    /// Whether it may be chosen.
    acceptable: bool,
    /// What to do about it, in sentences.
    advice: Vec<String>,
}

/// Why there is no opinion.
#[derive(Debug, Error)]
#[error(transparent)]
pub(crate) struct CheckError(#[from] QueueError);

/// Tells how good a password would be.
#[utoipa::path(
    post, path = "/v1/auth/password/check", operation_id = "checkPassword", tag = "auth",
    request_body = Candidate,
    responses(
        (status = 200, description = "What it would be worth", body = Opinion),
        (status = 503, description = "Too many sign-ins at the moment (`overloaded`)"),
    )
)]
pub(crate) async fn check(
    State(app): State<Arc<App>>,
    Input(Candidate { password, words }): Input<Candidate>,
) -> Result<Json<Opinion>, CheckError> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let verdict = app.judge.judge(&password, &words).await?;
    Ok(Json(Opinion {
        score: verdict.score,
        breached: verdict.is_breached,
        acceptable: verdict.is_acceptable(),
        advice: verdict.advice,
    }))
}

impl From<CheckError> for Problem {
    fn from(CheckError(error): CheckError) -> Self {
        error.into()
    }
}

impl axum::response::IntoResponse for CheckError {
    fn into_response(self) -> axum::response::Response {
        Problem::from(self).into_response()
    }
}
