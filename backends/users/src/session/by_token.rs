//! Sessions as OAuth knows them: by a token that somebody brings.

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{End, RefreshToken, store};
use crate::{
    App,
    audit::{self, Act},
    revocation::{self, Revoked},
};

/// The session that a refresh token keeps alive.
pub(crate) struct Living {
    pub(crate) session_id: Uuid,
    pub(crate) account_id: Uuid,
    /// When the token is void by itself.
    pub(crate) expires_at: OffsetDateTime,
}

/// The session of a refresh token, if that is the living one of its family.
pub(crate) async fn living(
    app: &App,
    token: &RefreshToken,
    now: OffsetDateTime,
) -> Result<Option<Living>, sqlx::Error> {
    let mut tx = app.pool.begin().await?;
    let found = store::lock(&mut tx, &token.hash()).await?;
    tx.rollback().await?;
    let found = found.filter(|(session, state)| {
        state.spent_at.is_none() && now < state.expires_at && now < session.expires_at
    });
    Ok(found.map(|(session, state)| Living {
        session_id: session.id,
        account_id: session.account_id,
        expires_at: state.expires_at,
    }))
}

/// Ends the session of a refresh token, if there is one: of a spent one as well.
pub(crate) async fn end_by_token(
    app: &App,
    token: &RefreshToken,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    let mut tx = app.pool.begin().await?;
    if let Some((session, _)) = store::lock(&mut tx, &token.hash()).await? {
        end(&mut tx, session.account_id, session.id, now).await?;
    }
    tx.commit().await
}

/// Ends a session of an account, if it goes on.
pub(crate) async fn end_one(
    app: &App,
    account_id: Uuid,
    session_id: Uuid,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    let mut tx = app.pool.begin().await?;
    end(&mut tx, account_id, session_id, now).await?;
    tx.commit().await
}

async fn end(
    tx: &mut PgConnection,
    account_id: Uuid,
    session_id: Uuid,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    if store::end(tx, session_id, account_id, End::Logout, now).await? {
        audit::record(tx, now, Act::SignedOut, account_id, Some(session_id)).await?;
        revocation::revoke(tx, &[Revoked::Session(session_id)], now).await?;
    }
    Ok(())
}
