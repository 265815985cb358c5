//! Staying signed in: `POST /v1/auth/refresh`; and no longer: `POST /v1/auth/logout`, and
//! `POST /v1/auth/logout-all` for every device at once.
//!
//! A session is a family of refresh tokens, of which one is alive. Spending it makes its successor.
//! Two tabs, or a client whose answer was lost, spend the same token twice and mean no harm: within
//! [`GRACE`] they get the same successor, since that is a keyed hash of the token they spent, not a
//! new draw; and where one of them has gone on meanwhile, the token that is alive now. After that, a
//! spent token is proof that two parties hold the family, and as nobody can tell which one is the
//! thief it ends for both.

mod by_token;
mod cookie;
pub(crate) mod list;
mod refresh_token;
mod store;

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use events::Notice;
use serde::{Deserialize, Serialize};
use sqlx::{Connection, PgConnection};
use thiserror::Error;
use time::{Duration, OffsetDateTime};
use utoipa::ToSchema;
use uuid::Uuid;
use web::{Caller, Input, Problem};

use cookie::InCookie;

use crate::{
    App,
    account::{self, Account, Standing},
    audit::{self, Act, Entry},
    client::Client,
    device::Seen,
    factor::Factor,
    notice,
    revocation::{self, Revoked},
    signing_key::NoSigningKey,
    step_up::Fresh,
    token::{self, Subject},
};
pub(crate) use by_token::{end_by_token, end_one, living};
pub(crate) use refresh_token::RefreshToken;
use store::TokenState;
pub(crate) use store::{End, end_all};

/// How long a spent token is still answered with the living one.
const GRACE: Duration = Duration::seconds(10);
/// A session that is not refreshed for so long ends.
const IDLE_LIFETIME: Duration = Duration::days(30);
/// A session ends after so long, however busy it is.
const LIFETIME: Duration = Duration::days(90);

/// What somebody holds who is signed in.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tokens {
    /// A JWT of type `at+jwt`, for the `Authorization` header.
    access_token: String,
    #[schema(pattern = "^Bearer$")]
    token_type: &'static str,
    /// Seconds until the access token is void.
    expires_in: i64,
    /// Good for one refresh. Left out where it went into the cookie.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    refresh_token: Option<RefreshToken>,
    /// For `x-device-token` at the next sign-in from here; given to a device that was not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    device_token: Option<String>,
}

/// A fresh access token, in a session that goes on.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Stepped {
    access_token: String,
    #[schema(pattern = "^Bearer$")]
    token_type: &'static str,
    expires_in: i64,
}

/// Tokens on their way to where they are kept.
pub(crate) struct Issued {
    pub(crate) session_id: Uuid,
    tokens: Tokens,
    cookie: Option<InCookie>,
}

/// A refresh token to spend.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Refresh {
    /// Left out by a browser that has it in the cookie.
    #[serde(default)]
    #[schema(nullable = false)]
    refresh_token: Option<RefreshToken>,
}

/// Why a session does not go on.
#[derive(Debug, Error)]
pub(crate) enum SessionError {
    #[error("the refresh token is not good, or no longer")]
    InvalidToken,
    #[error("the caller's token belongs to no session")]
    NoSession,
    #[error("no such session of the caller's")]
    NotFound,
    #[error("drawing a token")]
    Randomness(#[from] getrandom::Error),
    #[error(transparent)]
    NoKey(#[from] NoSigningKey),
    #[error("keeping a session")]
    Store(#[from] sqlx::Error),
}

/// Begins a session. Only `login::complete_login` calls this.
pub(crate) async fn open(
    app: &App,
    tx: &mut PgConnection,
    account: &Account,
    proven: &[Factor],
    seen: &Seen,
    client: &Client,
    now: OffsetDateTime,
) -> Result<Issued, SessionError> {
    let session = store::Session {
        id: Uuid::now_v7(),
        account_id: account.id,
        proven: proven.to_vec(),
        authenticated_at: now,
        expires_at: now + LIFETIME,
    };
    let token = RefreshToken::random()?;
    store::begin(tx, &session, seen.id, client, now).await?;
    store::add_token(tx, session.id, &token.hash(), token_expiry(&session, now)).await?;
    let mut issued = issue(app, account, &session, token, client.cookie, now)?;
    issued.tokens.device_token = seen.token.clone();
    Ok(issued)
}

/// Adds a fresh proof to a session, and gives an access token that tells of it.
pub(crate) async fn step_up(
    app: &App,
    tx: &mut PgConnection,
    account: &Account,
    session_id: Uuid,
    factor: Factor,
    now: OffsetDateTime,
) -> Result<Stepped, SessionError> {
    let session = store::prove(tx, session_id, account.id, factor, now).await?;
    let session = session.ok_or(SessionError::NoSession)?;
    Ok(Stepped {
        access_token: access_token(app, account, &session, now)?,
        token_type: "Bearer",
        expires_in: token::LIFETIME.whole_seconds(),
    })
}

/// Spends a refresh token for a new pair. A browser that has it in the cookie sends `{}`, and gets
/// the next one in the cookie.
#[utoipa::path(
    post, path = "/v1/auth/refresh", operation_id = "refresh", tag = "auth",
    request_body = Refresh,
    responses(
        (status = 200, description = "A new pair; the token that was sent is spent", body = Tokens),
        (status = 401, description = "The token is not good, or no longer (`invalid_token`)"),
    )
)]
pub(crate) async fn refresh(
    State(app): State<Arc<App>>,
    client: Client,
    headers: HeaderMap,
    Input(wish): Input<Refresh>,
) -> Result<Issued, SessionError> {
    let now = app.clock.now();
    let in_cookie = wish.refresh_token.is_none();
    let parent = wish.refresh_token.or_else(|| cookie::read(&headers));
    let parent = parent.ok_or(SessionError::InvalidToken)?;
    spend(&app, parent, in_cookie, &client, now).await
}

/// Spends a refresh token, however it came.
pub(crate) async fn spend(
    app: &App,
    parent: RefreshToken,
    in_cookie: bool,
    client: &Client,
    now: OffsetDateTime,
) -> Result<Issued, SessionError> {
    let mut line = app.pool.acquire().await?;
    // Without a lock, and then in one statement that does nothing to a token which lives no more: that
    // is nearly every refresh, and two round trips where a transaction made seven.
    let (session, state, account) = store::find(&mut line, &parent.hash())
        .await?
        .ok_or(SessionError::InvalidToken)?;
    if judge(&session, &state, now) == Verdict::Rotate {
        // Read anew each time: a role that was taken away is gone with the next refresh.
        let account = allowed(account, now)?;
        let successor = parent.successor(&app.refresh_key);
        let (spent, next) = (parent.hash(), successor.hash());
        let expiry = token_expiry(&session, now);
        let issued = issue(app, &account, &session, successor, in_cookie, now)?;
        let perm_ver = account.perm_ver;
        if store::rotate(&mut line, &spent, &next, expiry, perm_ver, client, now).await? {
            return Ok(issued);
        }
    }
    let mut tx = line.begin().await?;
    // Locks the account and the session: whoever was first has committed by then.
    let account = account::store::hold(&mut tx, session.account_id).await?;
    let account = account.ok_or(SessionError::InvalidToken)?;
    let (session, state) = store::lock(&mut tx, &parent.hash())
        .await?
        .ok_or(SessionError::InvalidToken)?;
    let mut successor = parent.successor(&app.refresh_key);
    // By when it came: who had to wait for the lock is no thief for that.
    let verdict = judge(&session, &state, now);
    // What is issued while we waited may be void by now; what is issued from now on is not.
    let now = app.clock.now();
    match verdict {
        // A successor that was spent as well would end the session when it is brought the next time.
        Verdict::Repeat => {
            while store::is_spent(&mut tx, &successor.hash()).await? {
                successor = successor.successor(&app.refresh_key);
            }
        }
        // What the account may has changed since it was read.
        Verdict::Rotate => {
            let (spent, next) = (parent.hash(), successor.hash());
            let (expiry, perm_ver) = (token_expiry(&session, now), account.perm_ver);
            if !store::rotate(&mut tx, &spent, &next, expiry, perm_ver, client, now).await? {
                return Err(SessionError::InvalidToken);
            }
        }
        Verdict::Expired => return Err(SessionError::InvalidToken),
        Verdict::Reused => {
            end_family(&mut tx, &session, client, now).await?;
            tx.commit().await?;
            return Err(SessionError::InvalidToken);
        }
    }
    let account = allowed(account, now)?;
    let issued = issue(app, &account, &session, successor, in_cookie, now)?;
    tx.commit().await?;
    Ok(issued)
}

/// The account, if it lets its sessions go on.
fn allowed(account: Account, now: OffsetDateTime) -> Result<Account, SessionError> {
    match account.standing(now) {
        Standing::Active | Standing::Frozen => Ok(account),
        Standing::Banned | Standing::Deleted => Err(SessionError::InvalidToken),
    }
}

async fn end_family(
    tx: &mut PgConnection,
    session: &store::Session,
    client: &Client,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    let (session_id, user_id) = (session.id, session.account_id);
    store::end(tx, session_id, user_id, End::TokenReuse, now).await?;
    let reused = Entry::new(Act::TokenReused, user_id).session(session_id);
    reused.from(client).record(tx, now).await?;
    if let Some(account) = account::store::by_id(&mut *tx, user_id).await? {
        notice::tell(tx, &account, Notice::TokenReused, None, now).await?;
    }
    revocation::revoke(tx, &[Revoked::Session(session_id)], now).await?;
    tracing::warn!(%user_id, %session_id, "a spent refresh token came back");
    Ok(())
}

/// Ends the caller's session. Its refresh token is void at once, its access tokens within a second.
#[utoipa::path(
    post, path = "/v1/auth/logout", operation_id = "logout", tag = "auth",
    responses(
        (status = 204, description = "The session has ended"),
        (status = 401, description = "Nobody is signed in (`unauthenticated`)"),
    )
)]
pub(crate) async fn logout(
    State(app): State<Arc<App>>,
    caller: Caller,
) -> Result<Response, SessionError> {
    let user_id = caller.user_id;
    let session_id = caller.sid.ok_or(SessionError::NoSession)?;
    let now = app.clock.now();
    let mut tx = app.pool.begin().await?;
    // A second logout finds the session ended: nothing happens, so nothing is recorded.
    if store::end(&mut tx, session_id, user_id, End::Logout, now).await? {
        audit::record(&mut tx, now, Act::SignedOut, user_id, Some(session_id)).await?;
        revocation::revoke(&mut tx, &[Revoked::Session(session_id)], now).await?;
    }
    tx.commit().await?;
    Ok((InCookie::gone(), StatusCode::NO_CONTENT).into_response())
}

/// Ends every session of the caller, this one too: what somebody does who has lost a device. Keys
/// for programs are no sessions, and stay.
#[utoipa::path(
    post, path = "/v1/auth/logout-all", operation_id = "logout_all", tag = "auth",
    responses(
        (status = 204, description = "The sessions have ended"),
        (status = 401, description = "Nobody is signed in (`unauthenticated`)"),
        (status = 403, description = "A fresh proof is due (`second_factor_required`)"),
    )
)]
pub(crate) async fn logout_all(
    State(app): State<Arc<App>>,
    Fresh(caller): Fresh,
) -> Result<Response, SessionError> {
    let user_id = caller.user_id;
    let now = app.clock.now();
    let mut tx = app.pool.begin().await?;
    account::store::hold(&mut tx, user_id).await?;
    let ended = store::end_all(&mut tx, user_id, None, End::LogoutAll, now).await?;
    if !ended.is_empty() {
        audit::record(&mut tx, now, Act::SignedOutEverywhere, user_id, caller.sid).await?;
        revocation::revoke(&mut tx, &ended, now).await?;
    }
    tx.commit().await?;
    Ok((InCookie::gone(), StatusCode::NO_CONTENT).into_response())
}

/// What becomes of a refresh token that somebody brings.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// It is the living one: spend it.
    Rotate,
    /// It was spent a moment ago: answer with the token that lives now.
    Repeat,
    /// It was spent long ago: end the family.
    Reused,
    /// It is too old to mean anything.
    Expired,
}

fn judge(session: &store::Session, token: &TokenState, now: OffsetDateTime) -> Verdict {
    if now >= token.expires_at || now >= session.expires_at {
        return Verdict::Expired;
    }
    match token.spent_at {
        None => Verdict::Rotate,
        Some(spent_at) if now - spent_at <= GRACE => Verdict::Repeat,
        Some(_) => Verdict::Reused,
    }
}

fn token_expiry(session: &store::Session, now: OffsetDateTime) -> OffsetDateTime {
    session.expires_at.min(now + IDLE_LIFETIME)
}

fn issue(
    app: &App,
    account: &Account,
    session: &store::Session,
    refresh_token: RefreshToken,
    in_cookie: bool,
    now: OffsetDateTime,
) -> Result<Issued, NoSigningKey> {
    let lifetime = token_expiry(session, now) - now;
    let cookie = in_cookie.then(|| InCookie::holding(&refresh_token, lifetime));
    Ok(Issued {
        session_id: session.id,
        tokens: Tokens {
            access_token: access_token(app, account, session, now)?,
            token_type: "Bearer",
            expires_in: token::LIFETIME.whole_seconds(),
            refresh_token: (!in_cookie).then_some(refresh_token),
            device_token: None,
        },
        cookie,
    })
}

fn access_token(
    app: &App,
    account: &Account,
    session: &store::Session,
    now: OffsetDateTime,
) -> Result<String, NoSigningKey> {
    let subject = Subject {
        account,
        session_id: session.id,
        proven: &session.proven,
        auth_time: session.authenticated_at,
    };
    app.tokens.issue(&subject, now)
}

impl Issued {
    /// The cookie alone, for a page that has no use for the rest.
    pub(crate) fn into_cookie(self) -> Option<InCookie> {
        self.cookie
    }
}

impl IntoResponse for Issued {
    fn into_response(self) -> Response {
        (self.cookie, Json(self.tokens)).into_response()
    }
}

impl From<SessionError> for Problem {
    fn from(error: SessionError) -> Self {
        match error {
            SessionError::InvalidToken => Problem::new(
                StatusCode::UNAUTHORIZED,
                "invalid_token",
                "The refresh token is not good, or no longer",
            ),
            SessionError::NotFound => Problem::not_found(),
            SessionError::NoSession => Problem::new(
                StatusCode::BAD_REQUEST,
                "bad_request",
                "The access token belongs to no session",
            ),
            SessionError::NoKey(error) => error.into(),
            SessionError::Randomness(_) | SessionError::Store(_) => Problem::internal(error),
        }
    }
}

impl IntoResponse for SessionError {
    fn into_response(self) -> axum::response::Response {
        Problem::from(self).into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_judged_by_when_it_was_spent() {
        let begun = OffsetDateTime::from_unix_timestamp(1_800_000_000).expect("a time");
        let session = store::Session {
            id: Uuid::nil(),
            account_id: Uuid::nil(),
            proven: vec![],
            authenticated_at: begun,
            expires_at: begun + LIFETIME,
        };
        let (second, day) = (Duration::SECOND, Duration::DAY);
        for (expires, spent, now, verdict) in [
            (day * 30, None, day * 29, Verdict::Rotate),
            (day * 30, None, day * 30, Verdict::Expired),
            (day * 120, None, day * 90, Verdict::Expired),
            (day * 30, Some(day), day, Verdict::Repeat),
            (day * 30, Some(day), day + second * 10, Verdict::Repeat),
            (day * 30, Some(day), day + second * 11, Verdict::Reused),
            // The clock of the replica that spent it runs ahead of ours.
            (day * 30, Some(day), day - second, Verdict::Repeat),
            (day * 30, Some(day), day * 30, Verdict::Expired),
        ] {
            let token = TokenState {
                expires_at: begun + expires,
                spent_at: spent.map(|spent| begun + spent),
            };
            assert_eq!(
                judge(&session, &token, begun + now),
                verdict,
                "{expires} {spent:?} {now}"
            );
        }
    }

    #[test]
    fn no_refresh_prolongs_a_session_beyond_its_last_day() {
        let begun = OffsetDateTime::from_unix_timestamp(1_800_000_000).expect("a time");
        let session = store::Session {
            id: Uuid::nil(),
            account_id: Uuid::nil(),
            proven: vec![],
            authenticated_at: begun,
            expires_at: begun + LIFETIME,
        };
        assert_eq!(token_expiry(&session, begun), begun + Duration::days(30));
        assert_eq!(
            token_expiry(&session, begun + Duration::days(80)),
            begun + Duration::days(90)
        );
    }
}
