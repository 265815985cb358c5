//! Signing in: `POST /v1/auth/login`, and the one gate behind every way in.

use std::sync::Arc;

use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use events::Notice;
use serde::Deserialize;
use sqlx::PgConnection;
use thiserror::Error;
use time::OffsetDateTime;
use utoipa::ToSchema;
use web::{Input, Problem};

use crate::{
    App,
    account::{self, Account, Standing},
    audit::{self, Act, Entry},
    client::Client,
    contact::{Contact, Phone},
    device,
    email::Email,
    factor::{self, Factor, Verdict},
    mfa, notice, pace,
    password::{Check, HasherError, Password},
    refusal::Shown,
    second_factor,
    session::{self, Issued, SessionError, Tokens},
    throttle,
};

/// A contact and what should be its password. Either `email` or `phone` is given.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Credentials {
    #[serde(default)]
    #[schema(nullable = false)]
    email: Option<Email>,
    #[serde(default)]
    #[schema(nullable = false)]
    phone: Option<Phone>,
    // Any length: the rules for new passwords are no business of those who guess at old ones.
    #[schema(value_type = String, format = "password", max_length = 1024)]
    password: Password,
}

/// Why somebody stays outside. No account, an unproven contact and a wrong password are one reason.
#[derive(Debug, Error)]
pub(crate) enum LoginError {
    #[error("either an address or a phone number is given")]
    NoContact(Problem),
    #[error("contact or password is wrong")]
    InvalidCredentials,
    #[error("too many wrong passwords of late")]
    TooMany { wait_s: u32 },
    #[error(transparent)]
    Hasher(#[from] HasherError),
    #[error(transparent)]
    Session(#[from] SessionError),
    #[error("drawing a token")]
    Randomness(#[from] getrandom::Error),
    #[error("signing somebody in")]
    Store(#[from] sqlx::Error),
}

/// What becomes of somebody who has proven who they are. The story commits in each case.
pub(crate) enum Entrance {
    /// They are in.
    In(Box<Issued>),
    /// A second factor is due.
    SecondFactorDue(mfa::Due),
    /// They are who they say, and stay outside all the same.
    Shut(Standing),
}

/// Signs in with a password. Where a second factor is enrolled the answer is 401 `mfa_required` with
/// an `mfa_token` and the `factors` of which one is due, see `mfaVerify`. A device that shows the
/// `device_token` of an earlier sign-in (`x-device-token`) is not held up by strangers' tries.
#[utoipa::path(
    post, path = "/v1/auth/login", operation_id = "login", tag = "auth",
    request_body = Credentials,
    params(
        ("x-device-token" = Option<String>, Header, description = "What an earlier sign-in from this device gave"),
        ("x-refresh-transport" = Option<String>, Header,
            description = "`cookie`: the refresh token goes into a cookie that no script can read. Default: `body`"),
    ),
    responses(
        (status = 200, description = "Signed in", body = Tokens),
        (status = 401, description = "Contact or password is wrong (`invalid_credentials`), or a second factor is due (`mfa_required`)"),
        (status = 403, description = "The account is banned (`account_banned`) or given up (`account_deleted`)"),
        (status = 429, description = "Too many wrong passwords of late (`too_many_attempts`)"),
        (status = 503, description = "Too many sign-ins at the moment (`overloaded`)"),
    )
)]
pub(crate) async fn login(
    State(app): State<Arc<App>>,
    client: Client,
    Input(Credentials {
        email,
        phone,
        password,
    }): Input<Credentials>,
) -> Result<Entrance, LoginError> {
    let contact = Contact::one_of(email, phone).map_err(LoginError::NoContact)?;
    // Before all else: who is turned away costs the database nothing, and pays no try.
    let place = app.passwords.enter()?;
    let account = account::store::by_contact(&app.pool, &contact).await?;
    let now = app.clock.now();
    let paid = throttle::pay(&app, account.as_ref(), &contact, &client, now).await?;
    let paid = paid.map_err(|wait_s| {
        app.refusals.count(Shown::TooOften);
        LoginError::TooMany { wait_s }
    })?;
    let kept = account
        .as_ref()
        .and_then(|account| account.password_hash.as_deref());
    let check = app.passwords.verify(place, password, kept).await?;

    let Some(account) = account.as_ref().filter(|_| check.is_right()) else {
        app.refusals.count(Shown::Password);
        pace::even(refuse(&app, account.as_ref(), &client, now)).await?;
        return Err(LoginError::InvalidCredentials);
    };
    let mut tx = app.pool.begin().await?;
    throttle::forgive(&mut tx, &paid).await?;
    if let Check::Right { anew: Some(anew) } = check {
        let old = account.password_hash.as_deref();
        account::store::rehash(&mut tx, account.id, old, &anew).await?;
    }
    let entrance = complete_login(&app, &mut tx, account, &[Factor::Password], &client).await?;
    tx.commit().await?;
    Ok(entrance)
}

/// Writes down that somebody was refused.
async fn refuse(
    app: &App,
    account: Option<&Account>,
    client: &Client,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    let mut tx = app.pool.begin().await?;
    match account {
        Some(account) => {
            let refused = Entry::new(Act::SignInRefused, account.id).from(client);
            refused.record(&mut tx, now).await?;
        }
        // A row that only the known leave would be seen on the clock.
        None => audit::record_stranger(&mut tx, client, now).await?,
    }
    tx.commit().await
}

/// The gate that every way in passes, whatever was proven before it: nothing else opens a session.
/// What keeps somebody out who has proven who they are (a second factor still due, a ban) belongs
/// here, where no way in can forget it.
pub(crate) async fn complete_login(
    app: &App,
    tx: &mut PgConnection,
    account: &Account,
    proven: &[Factor],
    client: &Client,
) -> Result<Entrance, LoginError> {
    // As it is now, and until the commit: a ban, or another password or contact, may have come in
    // between.
    let known = account;
    let account = account::store::hold(tx, account.id).await?;
    let account = account.ok_or(LoginError::InvalidCredentials)?;
    // What was issued while we waited may be void by now; what is issued from now on is not.
    let now = app.clock.now();
    let rests_on_what_was = |factor: &Factor| match factor {
        Factor::Password => account.password_ver != known.password_ver,
        Factor::EmailCode | Factor::EmailLink => account.email != known.email,
        Factor::SmsCode => account.phone != known.phone,
        _ => false,
    };
    if proven.iter().any(rests_on_what_was) {
        return Err(LoginError::InvalidCredentials);
    }
    let standing = account.standing(now);
    if matches!(standing, Standing::Banned | Standing::Deleted) {
        let refused = Entry::new(Act::SignInRefused, account.id).from(client);
        refused.record(tx, now).await?;
        return Ok(Entrance::Shut(standing));
    }
    let enrolled = second_factor::enrolled(tx, &account).await?;
    if let Verdict::Due(kinds) = factor::judge(proven, &enrolled) {
        let wait = mfa::Wait::sign_in(&account, proven);
        let due = mfa::wait(tx, wait, kinds, client, now).await?;
        return Ok(Entrance::SecondFactorDue(due));
    }
    let seen = device::see(tx, account.id, client, now).await?;
    let issued = session::open(app, tx, &account, proven, &seen, client, now).await?;
    let begun = Entry::new(Act::SignedIn, account.id).session(issued.session_id);
    begun.from(client).record(tx, now).await?;
    if seen.is_news {
        let from = client.user_agent.as_deref();
        notice::tell(tx, &account, Notice::NewDevice, from, now).await?;
    }
    tracing::info!(user_id = %account.id, session_id = %issued.session_id, "somebody signed in");
    Ok(Entrance::In(Box::new(issued)))
}

impl IntoResponse for Entrance {
    fn into_response(self) -> Response {
        match self {
            Self::In(issued) => issued.into_response(),
            Self::SecondFactorDue(due) => due.into_response(),
            Self::Shut(Standing::Deleted) => Problem::new(
                StatusCode::FORBIDDEN,
                "account_deleted",
                "This account was given up",
            )
            .into_response(),
            Self::Shut(_) => Problem::new(
                StatusCode::FORBIDDEN,
                "account_banned",
                "This account is banned",
            )
            .into_response(),
        }
    }
}

impl From<device::SeeError> for LoginError {
    fn from(error: device::SeeError) -> Self {
        match error {
            device::SeeError::Randomness(error) => Self::Randomness(error),
            device::SeeError::Store(error) => Self::Store(error),
        }
    }
}

impl From<LoginError> for Problem {
    fn from(error: LoginError) -> Self {
        match error {
            LoginError::NoContact(problem) => problem,
            LoginError::InvalidCredentials => Problem::new(
                StatusCode::UNAUTHORIZED,
                "invalid_credentials",
                "Contact or password is wrong",
            ),
            LoginError::TooMany { wait_s } => throttle::too_many(wait_s),
            LoginError::Hasher(error) => error.into(),
            LoginError::Session(error) => error.into(),
            LoginError::Randomness(_) | LoginError::Store(_) => Problem::internal(error),
        }
    }
}

impl IntoResponse for LoginError {
    fn into_response(self) -> Response {
        Problem::from(self).into_response()
    }
}
