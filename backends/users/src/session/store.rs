//! Sessions and the hashes of their tokens.

use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;
use uuid::Uuid;

use super::list::SessionView;
use crate::{
    account::Account,
    client::Client,
    factor::{self, Factor},
    key::Tag,
    revocation::Revoked,
};

/// A session that goes on.
pub(super) struct Session {
    pub(super) id: Uuid,
    pub(super) account_id: Uuid,
    pub(super) proven: Vec<Factor>,
    /// When the last of it was proven.
    pub(super) authenticated_at: OffsetDateTime,
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
pub(crate) enum End {
    Logout,
    LogoutAll,
    TokenReuse,
    /// Its owner ended it from another session.
    Revoked,
    /// The password is another one.
    Password,
    /// A contact is another one.
    Contact,
    /// The account was frozen or banned, or somebody here ended it.
    Standing,
    /// The account is given up.
    Erasure,
}

impl End {
    fn reason(self) -> &'static str {
        match self {
            Self::Logout => "logout",
            Self::LogoutAll => "logout_all",
            Self::TokenReuse => "token_reuse",
            Self::Revoked => "revoked",
            Self::Password => "password",
            Self::Contact => "contact",
            Self::Standing => "standing",
            Self::Erasure => "erasure",
        }
    }
}

/// Writes down a new session.
pub(super) async fn begin(
    tx: &mut PgConnection,
    session: &Session,
    device_id: Uuid,
    client: &Client,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"
        insert into users.session (id, account_id, proven, authenticated_at, device_id, ip,
            user_agent, created_at, last_seen_at, expires_at)
        values ($1, $2, $3, $4, $5, $6::text::inet, $7, $8, $8, $9)
        "#,
        session.id,
        session.account_id,
        &factor::names(&session.proven),
        session.authenticated_at,
        device_id,
        client.ip.map(|ip| ip.to_string()),
        client.user_agent,
        now,
        session.expires_at,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Adds a fresh proof to a session of this account that goes on.
pub(super) async fn prove(
    tx: &mut PgConnection,
    session_id: Uuid,
    account_id: Uuid,
    factor: Factor,
    now: OffsetDateTime,
) -> Result<Option<Session>, sqlx::Error> {
    let row = sqlx::query!(
        r#"
        update users.session set authenticated_at = $4,
            proven = case when $3 = any(proven) then proven else proven || $3::text end
        where id = $1 and account_id = $2 and ended_at is null and expires_at > $4
        returning id, account_id, proven, authenticated_at, expires_at
        "#,
        session_id,
        account_id,
        factor.name(),
        now,
    )
    .fetch_optional(tx)
    .await?;
    Ok(row.map(|row| Session {
        id: row.id,
        account_id: row.account_id,
        proven: factor::read(&row.proven),
        authenticated_at: row.authenticated_at,
        expires_at: row.expires_at,
    }))
}

/// The sessions of an account that go on, last used first.
pub(super) async fn of_account(
    pool: &PgPool,
    account_id: Uuid,
    current: Option<Uuid>,
    now: OffsetDateTime,
    limit: i64,
) -> Result<Vec<SessionView>, sqlx::Error> {
    sqlx::query_as!(
        SessionView,
        r#"
        select id, host(ip) as ip, user_agent, created_at, last_seen_at,
            coalesce(id = $2, false) as "current!"
        from users.session
        where account_id = $1 and ended_at is null and expires_at > $3
            and exists (select from users.refresh_token t where t.session_id = session.id and t.expires_at > $3)
        order by last_seen_at desc, id limit $4
        "#,
        account_id,
        current,
        now,
        limit,
    )
    .fetch_all(pool)
    .await
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

/// Finds a token, its session if that goes on, and whose it is, and holds nothing.
pub(super) async fn find(
    line: &mut PgConnection,
    hash: &Tag,
) -> Result<Option<(Session, TokenState, Account)>, sqlx::Error> {
    let found = sqlx::query!(
        r#"
        select s.id, s.account_id, s.proven, s.authenticated_at, s.expires_at,
            t.expires_at as token_expires_at, t.spent_at,
            a.email, a.phone, a.name, a.password_hash, a.password_ver, a.perm_ver,
            a.standing, a.standing_until, a.created_at,
            array(select role from users.account_role where account_id = a.id order by role) as "roles!"
        from users.refresh_token t
        join users.session s on s.id = t.session_id
        join users.account a on a.id = s.account_id
        where t.hash = $1 and s.ended_at is null
        "#,
        &hash[..],
    )
    .fetch_optional(line)
    .await?;
    Ok(found.map(|row| {
        let session = Session {
            id: row.id,
            account_id: row.account_id,
            proven: factor::read(&row.proven),
            authenticated_at: row.authenticated_at,
            expires_at: row.expires_at,
        };
        let token = TokenState {
            expires_at: row.token_expires_at,
            spent_at: row.spent_at,
        };
        let account = Account {
            id: row.account_id,
            email: row.email,
            phone: row.phone,
            name: row.name,
            password_hash: row.password_hash,
            password_ver: row.password_ver,
            roles_given: row.roles,
            perm_ver: row.perm_ver,
            standing_given: row.standing.into(),
            standing_until: row.standing_until,
            created_at: row.created_at,
        };
        (session, token, account)
    }))
}

/// Spends the living token of a session that goes on, adds its successor, and notes from where that
/// was. False if the token lives no more: of many who bring it at once, one is told true; and where
/// the account may not what it might when it was read: whoever changes that waits for us, or has done
/// it before. A statement of its own is as good as a transaction, and saves its round trips. The
/// account is locked first and the session next, as everywhere.
pub(super) async fn rotate(
    line: &mut PgConnection,
    spent: &Tag,
    successor: &Tag,
    expires_at: OffsetDateTime,
    perm_ver: i64,
    client: &Client,
    now: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    let rotated = sqlx::query!(
        r#"
        with held as (
            select s.id
            from users.refresh_token t
            join users.session s on s.id = t.session_id
            join users.account a on a.id = s.account_id
            where t.hash = $1 and t.spent_at is null and s.ended_at is null and a.perm_ver = $7
            for share of a for update of s, t
        ), spent as (
            update users.refresh_token t set spent_at = $2 from held where t.hash = $1
        ), added as (
            insert into users.refresh_token (hash, session_id, expires_at)
            select $3, held.id, $4 from held
        )
        update users.session s set last_seen_at = $2, ip = coalesce($5::text::inet, s.ip),
            user_agent = coalesce($6, s.user_agent)
        from held where s.id = held.id
        "#,
        &spent[..],
        now,
        &successor[..],
        expires_at,
        client.ip.map(|ip| ip.to_string()),
        client.user_agent,
        perm_ver,
    )
    .execute(line)
    .await?;
    Ok(rotated.rows_affected() == 1)
}

/// Finds a token and its session, and holds both until the commit. The session is locked first, as
/// in [`end`], so that the two never wait for each other; whoever wants the account holds that before.
pub(super) async fn lock(
    tx: &mut PgConnection,
    hash: &Tag,
) -> Result<Option<(Session, TokenState)>, sqlx::Error> {
    let found = sqlx::query!(
        r#"
        select s.id, s.account_id, s.proven, s.authenticated_at, s.expires_at,
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
            proven: factor::read(&row.proven),
            authenticated_at: row.authenticated_at,
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

/// Ends every session of this account but one, together with its tokens, and gives what is to be
/// revoked with it.
pub(crate) async fn end_all(
    tx: &mut PgConnection,
    account_id: Uuid,
    but: Option<Uuid>,
    end: End,
    now: OffsetDateTime,
) -> Result<Vec<Revoked>, sqlx::Error> {
    // Locked in the order of their ids, as everybody would who ends more than one.
    let ended = sqlx::query_scalar!(
        r#"
        with going as (
            select id from users.session
            where account_id = $1 and ended_at is null and id is distinct from $4
            order by id for update
        )
        update users.session s set ended_at = $2, end_reason = $3
        from going where s.id = going.id
        returning s.id
        "#,
        account_id,
        now,
        end.reason(),
        but,
    )
    .fetch_all(&mut *tx)
    .await?;
    // With the sessions ends what was begun in them or is half done: a code on its way, a sign-in that
    // waits for its second proof.
    sqlx::query!(
        r#"
        with tokens as (
            delete from users.refresh_token where session_id = any($1)
        ), codes as (
            delete from users.challenge where account_id = $2
        )
        delete from users.pending_login where account_id = $2
        "#,
        &ended,
        account_id,
    )
    .execute(tx)
    .await?;
    Ok(ended.into_iter().map(Revoked::Session).collect())
}
