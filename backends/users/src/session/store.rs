//! Sessions and the hashes of their tokens.

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::key::Tag;

/// A session that goes on.
pub(super) struct Session {
    pub(super) id: Uuid,
    pub(super) account_id: Uuid,
    pub(super) amr: Vec<String>,
    pub(super) created_at: OffsetDateTime,
    pub(super) expires_at: OffsetDateTime,
}

/// How a token stands.
pub(super) struct TokenState {
    pub(super) expires_at: OffsetDateTime,
    /// None for the living token of the family.
    pub(super) spent_at: Option<OffsetDateTime>,
}

/// Why a session ended before its time.
#[derive(Clone, Copy)]
pub(super) enum End {
    Logout,
    LogoutAll,
    TokenReuse,
}

impl End {
    fn reason(self) -> &'static str {
        match self {
            Self::Logout => "logout",
            Self::LogoutAll => "logout_all",
            Self::TokenReuse => "token_reuse",
        }
    }
}

/// Writes down a new session.
pub(super) async fn begin(tx: &mut PgConnection, session: &Session) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"
        insert into users.session (id, account_id, amr, created_at, expires_at)
        values ($1, $2, $3, $4, $5)
        "#,
        session.id,
        session.account_id,
        &session.amr,
        session.created_at,
        session.expires_at,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Adds a living token to a session.
pub(super) async fn add_token(
    tx: &mut PgConnection,
    session_id: Uuid,
    hash: &Tag,
    expires_at: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"insert into users.refresh_token (hash, session_id, expires_at) values ($1, $2, $3)"#,
        &hash[..],
        session_id,
        expires_at,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Finds a token and its session, and holds both until the commit. The session is locked first, as
/// in [`end`], so that the two never wait for each other.
pub(super) async fn lock(
    tx: &mut PgConnection,
    hash: &Tag,
) -> Result<Option<(Session, TokenState)>, sqlx::Error> {
    let found = sqlx::query!(
        r#"
        select s.id, s.account_id, s.amr, s.created_at, s.expires_at,
            t.expires_at as token_expires_at, t.spent_at
        from users.refresh_token t
        join users.session s on s.id = t.session_id
        where t.hash = $1 and s.ended_at is null
        for update of s, t
        "#,
        &hash[..],
    )
    .fetch_optional(tx)
    .await?;
    Ok(found.map(|row| {
        let session = Session {
            id: row.id,
            account_id: row.account_id,
            amr: row.amr,
            created_at: row.created_at,
            expires_at: row.expires_at,
        };
        (
            session,
            TokenState {
                expires_at: row.token_expires_at,
                spent_at: row.spent_at,
            },
        )
    }))
}

/// Tells whether a token was spent; one that is not there was not.
pub(super) async fn is_spent(tx: &mut PgConnection, hash: &Tag) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"
        select exists (select from users.refresh_token where hash = $1 and spent_at is not null) as "spent!"
        "#,
        &hash[..]
    )
    .fetch_one(tx)
    .await
}

/// Marks a token as spent.
pub(super) async fn spend_token(
    tx: &mut PgConnection,
    hash: &Tag,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"update users.refresh_token set spent_at = $2 where hash = $1"#,
        &hash[..],
        now
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Ends a session of this account together with its tokens. False if there was none to end.
pub(super) async fn end(
    tx: &mut PgConnection,
    session_id: Uuid,
    account_id: Uuid,
    end: End,
    now: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    let ended = sqlx::query!(
        r#"
        update users.session set ended_at = $3, end_reason = $4
        where id = $1 and account_id = $2 and ended_at is null
        "#,
        session_id,
        account_id,
        now,
        end.reason(),
    )
    .execute(&mut *tx)
    .await?;
    if ended.rows_affected() == 0 {
        return Ok(false);
    }
    sqlx::query!(
        r#"delete from users.refresh_token where session_id = $1"#,
        session_id
    )
    .execute(tx)
    .await?;
    Ok(true)
}

/// Ends every session of this account together with its tokens, and names those that it ended.
pub(super) async fn end_all(
    tx: &mut PgConnection,
    account_id: Uuid,
    end: End,
    now: OffsetDateTime,
) -> Result<Vec<Uuid>, sqlx::Error> {
    // Locked in the order of their ids, as everybody would who ends more than one.
    let ended = sqlx::query_scalar!(
        r#"
        with going as (
            select id from users.session
            where account_id = $1 and ended_at is null
            order by id for update
        )
        update users.session s set ended_at = $2, end_reason = $3
        from going where s.id = going.id
        returning s.id
        "#,
        account_id,
        now,
        end.reason(),
    )
    .fetch_all(&mut *tx)
    .await?;
    sqlx::query!(
        r#"delete from users.refresh_token where session_id = any($1)"#,
        &ended
    )
    .execute(tx)
    .await?;
    Ok(ended)
}
