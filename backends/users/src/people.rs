//! The people who use the place, as those see them who run it: `/v1/users`.
//!
//! Lists mask what is personal, whoever reads them. One account is shown in full to those who hold
//! `users.read_pii`, and each such look is in the record.

pub(crate) mod create;
pub(crate) mod lift;
pub(crate) mod list;
pub(crate) mod moderate;
pub(crate) mod one;
mod standing;
mod store;

use axum::{
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::Serialize;
use thiserror::Error;
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;
use web::Problem;

use crate::{
    account::Standing,
    contact::{Contact, Phone},
    email::Email,
    rights::{Above, LastAdmin, RightsError},
    role::assign::AssignError,
};

/// An account as those see it who run the place.
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Person {
    id: Uuid,
    /// Masked unless it is shown in full: `a***@example.com`.
    email: Option<String>,
    /// Masked unless it is shown in full: `+***67`.
    phone: Option<String>,
    /// Masked unless it is shown in full: `A***`.
    name: Option<String>,
    /// Whether what is personal is masked here.
    masked: bool,
    roles: Vec<String>,
    standing: StandingName,
    /// Why it is not active.
    standing_reason: Option<String>,
    /// When it is active again by itself.
    #[serde(with = "time::serde::rfc3339::option")]
    standing_until: Option<OffsetDateTime>,
    /// When somebody here made sure who this is.
    #[serde(with = "time::serde::rfc3339::option")]
    verified_at: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    #[serde(skip)]
    version: i64,
}

/// What an account is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, serde::Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum StandingName {
    /// It is as it should be.
    Active,
    /// It gets in, looks, and does nothing.
    Frozen,
    /// It does not get in.
    Banned,
    /// It waits for its erasure, or is over.
    Deleted,
}

/// Why an account is not shown, or stays as it is.
#[derive(Debug, Error)]
pub(crate) enum PeopleError {
    #[error(transparent)]
    Rights(#[from] RightsError),
    #[error("there is no such account")]
    NotFound,
    #[error("nobody does this to their own account")]
    Own,
    #[error(transparent)]
    Above(#[from] Above),
    #[error(transparent)]
    LastAdmin(#[from] LastAdmin),
    #[error(transparent)]
    Assign(#[from] AssignError),
    #[error("an account that is {} can't be {}", .0.name(), .1)]
    Standing(Standing, &'static str),
    #[error(
        "`until` is in the future, no more than five years away, and not for who is to be erased"
    )]
    BadUntil,
    #[error("another account has this contact")]
    Taken,
    #[error("what the caller has seen, or where their list went on")]
    Refused(Problem),
    #[error("looking after accounts")]
    Store(#[from] sqlx::Error),
}

impl StandingName {
    /// As the database calls it.
    fn text(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Frozen => "frozen",
            Self::Banned => "banned",
            Self::Deleted => "deleted",
        }
    }
}

impl From<Standing> for StandingName {
    fn from(standing: Standing) -> Self {
        match standing {
            Standing::Active => Self::Active,
            Standing::Frozen => Self::Frozen,
            Standing::Banned => Self::Banned,
            Standing::Deleted => Self::Deleted,
        }
    }
}

impl Person {
    /// Hides what is personal: its owner would know it again, nobody else learns it.
    fn mask(mut self) -> Self {
        let email = self
            .email
            .as_deref()
            .and_then(|text| Email::parse(text).ok());
        self.email = email.map(|email| Contact::Email(email).masked());
        let phone = self
            .phone
            .as_deref()
            .and_then(|text| Phone::parse(text).ok());
        self.phone = phone.map(|phone| Contact::Phone(phone).masked());
        self.name = self.name.map(|name| {
            let first: String = name.chars().take(1).collect();
            format!("{first}***")
        });
        self.masked = true;
        self
    }

    /// What counts of its standing at a time.
    fn at(mut self, now: OffsetDateTime) -> Self {
        if self.standing_until.is_some_and(|until| until <= now) {
            self.standing_reason = None;
            self.standing_until = None;
            self.standing = StandingName::Active;
        }
        self
    }
}

impl From<PeopleError> for Problem {
    fn from(error: PeopleError) -> Self {
        let words = error.to_string();
        let problem = |status, code, title| Problem::new(status, code, title).detail(words);
        match error {
            PeopleError::Rights(error) => error.into(),
            PeopleError::Above(error) => error.into(),
            PeopleError::LastAdmin(error) => error.into(),
            PeopleError::Assign(error) => error.into(),
            PeopleError::Refused(problem) => problem,
            PeopleError::NotFound => Problem::not_found(),
            PeopleError::Own => problem(StatusCode::FORBIDDEN, "own_account", "Your own account"),
            PeopleError::Standing(..) => problem(
                StatusCode::CONFLICT,
                "standing_conflict",
                "Not from this standing",
            ),
            PeopleError::BadUntil => {
                problem(StatusCode::UNPROCESSABLE_ENTITY, "bad_until", "Bad time")
            }
            PeopleError::Taken => problem(StatusCode::CONFLICT, "contact_taken", "Contact taken"),
            PeopleError::Store(_) => Problem::internal(error),
        }
    }
}

impl IntoResponse for PeopleError {
    fn into_response(self) -> Response {
        Problem::from(self).into_response()
    }
}
