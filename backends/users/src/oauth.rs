//! What OAuth and OpenID Connect know by their own words: `/oauth/*`, and how we describe ourselves
//! under `/.well-known/*`. Tokens are the same as those of `/v1/auth`; only how one asks differs.
//!
//! The stories: [`metadata`] says what there is; [`client`] who asks; [`token`] gives, [`introspect`]
//! judges and [`revoke`] takes back what was given; [`userinfo`] tells who somebody is.

pub(crate) mod client;
pub(crate) mod introspect;
pub(crate) mod metadata;
pub(crate) mod revoke;
mod store;
pub(crate) mod token;
pub(crate) mod userinfo;

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use thiserror::Error;
use utoipa::ToSchema;
use web::Problem;

use crate::{session::SessionError, signing_key::NoSigningKey};

pub(crate) use store::sweep;

/// Why nothing was given, in the words of RFC 6749 §5.2.
#[derive(Debug, Error)]
pub(crate) enum OauthError {
    #[error("{0}")]
    InvalidRequest(&'static str),
    #[error("the client is not known, or did not prove who it is")]
    InvalidClient,
    #[error("the refresh token is not good, or no longer")]
    InvalidGrant,
    #[error("the token was not issued to this client")]
    UnauthorizedClient,
    #[error("grant_type is refresh_token or client_credentials")]
    UnsupportedGrantType,
    #[error("the scope is more than this client may ask for")]
    InvalidScope,
    /// What the form was refused with.
    #[error("the form can't be read")]
    Form(Problem),
    #[error(transparent)]
    NoKey(#[from] NoSigningKey),
    #[error("drawing a token")]
    Randomness(#[from] getrandom::Error),
    #[error("answering a client")]
    Store(#[from] sqlx::Error),
}

/// An error as OAuth has it.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct OauthProblem {
    /// `invalid_request`, `invalid_client`, `invalid_grant`, `unauthorized_client`,
    /// `unsupported_grant_type`, `invalid_scope`, `server_error` or `temporarily_unavailable`.
    error: &'static str,
    /// For people.
    error_description: String,
}

impl From<SessionError> for OauthError {
    fn from(error: SessionError) -> Self {
        match error {
            SessionError::NoKey(error) => Self::NoKey(error),
            SessionError::Randomness(error) => Self::Randomness(error),
            SessionError::Store(error) => Self::Store(error),
            _ => Self::InvalidGrant,
        }
    }
}

impl OauthError {
    fn judge(&self) -> (StatusCode, &'static str) {
        let bad = StatusCode::BAD_REQUEST;
        match self {
            Self::InvalidRequest(_) => (bad, "invalid_request"),
            Self::InvalidClient => (StatusCode::UNAUTHORIZED, "invalid_client"),
            Self::InvalidGrant => (bad, "invalid_grant"),
            Self::UnauthorizedClient => (bad, "unauthorized_client"),
            Self::UnsupportedGrantType => (bad, "unsupported_grant_type"),
            Self::InvalidScope => (bad, "invalid_scope"),
            Self::Form(problem) => (problem.status(), "invalid_request"),
            Self::NoKey(_) => (StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable"),
            Self::Randomness(_) | Self::Store(_) => {
                (StatusCode::INTERNAL_SERVER_ERROR, "server_error")
            }
        }
    }
}

impl IntoResponse for OauthError {
    fn into_response(self) -> Response {
        let (mut status, mut error) = self.judge();
        let mut error_description = self.to_string();
        if status.is_server_error() {
            // Told to the log, and whether it will pass is found out, where all apps do it.
            let problem = match self {
                Self::NoKey(error) => error.into(),
                error => Problem::internal(error),
            };
            status = problem.status();
            error_description = "try again later".to_owned();
            if status == StatusCode::SERVICE_UNAVAILABLE {
                error = "temporarily_unavailable";
            }
        }
        let body = Json(OauthProblem {
            error,
            error_description,
        });
        let mut answer = (status, body).into_response();
        let headers = answer.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if status == StatusCode::UNAUTHORIZED {
            let ways = HeaderValue::from_static("Basic realm=\"oauth\", charset=\"UTF-8\"");
            headers.insert(header::WWW_AUTHENTICATE, ways);
        }
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        answer
    }
}
