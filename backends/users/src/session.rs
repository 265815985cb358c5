//! Staying signed in: `POST /v1/auth/refresh`; and no longer: `POST /v1/auth/logout`, and
//! `POST /v1/auth/logout-all` for every device at once.
//!
//! A session is a family of refresh tokens, of which one is alive. Spending it makes its successor.
//! Two tabs, or a client whose answer was lost, spend the same token twice and mean no harm: within
//! [`GRACE`] they get the same successor, since that is a keyed hash of the token they spent, not a
//! new draw; and where one of them has gone on meanwhile, the token that is alive now. After that, a
//! spent token is proof that two parties hold the family, and as nobody can tell which one is the
//! thief it ends for both.

mod refresh_token;
mod store;

use std::sync::Arc;

use axum::{Json, extract::State, http::StatusCode, response::IntoResponse};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use thiserror::Error;
use time::{Duration, OffsetDateTime};
use utoipa::ToSchema;
use uuid::Uuid;
use web::{Caller, Input, Problem};

use refresh_token::RefreshToken;

use crate::{
    App,
    account::{self, Account},
    audit::{self, Act},
    revocation::{self, Revoked},
    token::{self, Subject},
};
use store::{End, TokenState};

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
    /// Good for one refresh.
    refresh_token: RefreshToken,
}

/// A refresh token to spend.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Refresh {
    refresh_token: RefreshToken,
}

/// Why a session does not go on.
#[derive(Debug, Error)]
pub(crate) enum SessionError {
    #[error("the refresh token is not good, or no longer")]
    InvalidToken,
    #[error("the caller's token belongs to no session")]
    NoSession,
    #[error("drawing a token")]
    Randomness(#[from] getrandom::Error),
    #[error("keeping a session")]
    Store(#[from] sqlx::Error),
}

/// Begins a session. Only `login::complete_login` calls this.
pub(crate) async fn open(
    app: &App,
    tx: &mut PgConnection,
    account: &Account,
    amr: Vec<String>,
    now: OffsetDateTime,
) -> Result<(Uuid, Tokens), SessionError> {
    let session = store::Session {
        id: Uuid::now_v7(),
        account_id: account.id,
        amr,
        created_at: now,
        expires_at: now + LIFETIME,
    };
    let token = RefreshToken::random()?;
    store::begin(tx, &session).await?;
    store::add_token(tx, session.id, &token.hash(), token_expiry(&session, now)).await?;
    Ok((session.id, tokens(app, account, &session, token, now)))
}

/// Spends a refresh token for a new pair.
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
    Input(wish): Input<Refresh>,
) -> Result<Json<Tokens>, SessionError> {
    let now = app.clock.now();
    let parent = wish.refresh_token;
    let mut tx = app.pool.begin().await?;
    // Locks the session, so that of fifty who spend one token at once the first decides.
    let (session, state) = store::lock(&mut tx, &parent.hash())
        .await?
        .ok_or(SessionError::InvalidToken)?;
    let mut successor = parent.successor(&app.refresh_key);
    match judge(&session, &state, now) {
        Verdict::Rotate => rotate(&mut tx, &session, &parent, &successor, now).await?,
        // A successor that was spent as well would end the session when it is brought the next time.
        Verdict::Repeat => {
            while store::is_spent(&mut tx, &successor.hash()).await? {
                successor = successor.successor(&app.refresh_key);
            }
        }
        Verdict::Expired => return Err(SessionError::InvalidToken),
        Verdict::Reused => {
            end_family(&mut tx, &session, now).await?;
            tx.commit().await?;
            return Err(SessionError::InvalidToken);
        }
    }
    // Read anew each time: a role that was taken away is gone with the next refresh.
    let account = account::store::by_id(&mut *tx, session.account_id)
        .await?
        .ok_or(SessionError::InvalidToken)?;
    tx.commit().await?;
    Ok(Json(tokens(&app, &account, &session, successor, now)))
}

async fn rotate(
    tx: &mut PgConnection,
    session: &store::Session,
    parent: &RefreshToken,
    successor: &RefreshToken,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    store::spend_token(tx, &parent.hash(), now).await?;
    store::add_token(
        tx,
        session.id,
        &successor.hash(),
        token_expiry(session, now),
    )
    .await
}

async fn end_family(
    tx: &mut PgConnection,
    session: &store::Session,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    let (session_id, user_id) = (session.id, session.account_id);
    store::end(tx, session_id, user_id, End::TokenReuse, now).await?;
    audit::record(tx, now, Act::TokenReused, user_id, Some(session_id)).await?;
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
) -> Result<StatusCode, SessionError> {
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
    Ok(StatusCode::NO_CONTENT)
}

/// Ends every session of the caller, this one too: what somebody does who has lost a device. Keys
/// for programs are no sessions, and stay.
#[utoipa::path(
    post, path = "/v1/auth/logout-all", operation_id = "logout_all", tag = "auth",
    responses(
        (status = 204, description = "The sessions have ended"),
        (status = 401, description = "Nobody is signed in (`unauthenticated`)"),
    )
)]
pub(crate) async fn logout_all(
    State(app): State<Arc<App>>,
    caller: Caller,
) -> Result<StatusCode, SessionError> {
    let user_id = caller.user_id;
    let now = app.clock.now();
    let mut tx = app.pool.begin().await?;
    let ended = store::end_all(&mut tx, user_id, End::LogoutAll, now).await?;
    if !ended.is_empty() {
        audit::record(&mut tx, now, Act::SignedOutEverywhere, user_id, caller.sid).await?;
        let ended: Vec<Revoked> = ended.into_iter().map(Revoked::Session).collect();
        revocation::revoke(&mut tx, &ended, now).await?;
    }
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
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

fn tokens(
    app: &App,
    account: &Account,
    session: &store::Session,
    refresh_token: RefreshToken,
    now: OffsetDateTime,
) -> Tokens {
    let access_token = app.tokens.issue(
        &Subject {
            account,
            session_id: session.id,
            amr: &session.amr,
            auth_time: session.created_at,
        },
        now,
    );
    Tokens {
        access_token,
        token_type: "Bearer",
        expires_in: token::LIFETIME.whole_seconds(),
        refresh_token,
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
            SessionError::NoSession => Problem::new(
                StatusCode::BAD_REQUEST,
                "bad_request",
                "The access token belongs to no session",
            ),
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
            amr: vec![],
            created_at: begun,
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
            amr: vec![],
            created_at: begun,
            expires_at: begun + LIFETIME,
        };
        assert_eq!(token_expiry(&session, begun), begun + Duration::days(30));
        assert_eq!(
            token_expiry(&session, begun + Duration::days(80)),
            begun + Duration::days(90)
        );
    }
}
