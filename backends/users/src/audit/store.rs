//! The record, its particulars and its chain.

use sqlx::{PgConnection, PgExecutor, PgPool, Postgres, Transaction};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{
    Entry,
    chain::{Detail, Link, Recorded},
    list::{AuditEvent, Filter, OwnEvent},
};

/// Writes an act down, and its particulars where it has any.
pub(super) async fn insert(
    tx: &mut PgConnection,
    entry: Entry,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    let detail = entry.detail_text();
    sqlx::query!(
        r#"
        with salted as materialized (
            select uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()) as salt
            where $8::text is not null
        ), act as (
            insert into users.audit
                (at, act, account_id, session_id, request_id, api_key_id, actor_id, detail_hash)
            values ($1, $2, $3, $4, $5, $6, $7,
                (select sha256(salt || convert_to($8, 'UTF8')) from salted))
            returning seq
        )
        insert into users.audit_detail (audit_seq, salt, detail)
        select act.seq, salted.salt, $8::text::json from act, salted
        "#,
        now,
        entry.act.name(),
        entry.account_id,
        entry.session_id,
        web::request_id(),
        entry.api_key_id,
        entry.actor_id,
        detail,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Writes down that a sign-in to no account was refused, not in the record but at the same cost.
pub(crate) async fn note_stranger(
    tx: &mut PgConnection,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into users.stranger (at, request_id) values ($1, $2)",
        now,
        web::request_id(),
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Writes down that a sign-in to no account was refused, with as much work as if there were one.
pub(super) async fn insert_stranger(
    tx: &mut PgConnection,
    detail: Option<String>,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"
        with salted as materialized (
            select uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()) as salt
            where $3::text is not null
        ), act as (
            insert into users.stranger (at, request_id, chained)
            -- True, by as much thinking as a hash that is kept.
            values ($1, $2,
                (select sha256(salt || convert_to($3, 'UTF8')) from salted) is distinct from '')
            returning seq
        )
        insert into users.stranger_detail (stranger_seq, salt, detail)
        select act.seq, salted.salt, $3::text::json from act, salted
        "#,
        now,
        web::request_id(),
        detail,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Where the chain ends.
pub(super) struct Head {
    pub(super) n: i64,
    pub(super) hash: Vec<u8>,
}

/// Reads where the chain ends.
pub(super) async fn head(db: impl PgExecutor<'_>) -> Result<Head, sqlx::Error> {
    sqlx::query_as!(Head, "select n, hash from users.audit_head")
        .fetch_one(db)
        .await
}

/// The number of the head that was published last. Ours until the commit; none when another replica
/// has it.
pub(super) async fn take_told(tx: &mut PgConnection) -> Result<Option<i64>, sqlx::Error> {
    sqlx::query_scalar!("select n from users.audit_told for update skip locked")
        .fetch_optional(tx)
        .await
}

/// Notes the number of the head that is published.
pub(super) async fn set_told(tx: &mut PgConnection, n: i64) -> Result<(), sqlx::Error> {
    sqlx::query!("update users.audit_told set n = $1", n)
        .execute(tx)
        .await?;
    Ok(())
}

/// A transaction that sees the database as it is at this moment, until it ends.
pub(super) async fn moment(pool: &PgPool) -> Result<Transaction<'static, Postgres>, sqlx::Error> {
    pool.begin_with("begin isolation level repeatable read read only")
        .await
}

/// The act and the hash of one link.
pub(super) struct Joint {
    pub(super) audit_seq: i64,
    pub(super) hash: Vec<u8>,
}

/// The link of a number.
pub(super) async fn joint(tx: &mut PgConnection, n: i64) -> Result<Option<Joint>, sqlx::Error> {
    sqlx::query_as!(
        Joint,
        "select audit_seq, hash from users.audit_link where n = $1",
        n
    )
    .fetch_optional(tx)
    .await
}

/// Links from one number to another, with what they are links of.
pub(super) async fn links(
    tx: &mut PgConnection,
    from: i64,
    to: i64,
    limit: i64,
) -> Result<Vec<Link>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"
        select link.n, link.hash, link.audit_seq, act.seq as "seq?", act.at as "at?", act.act as "act?",
            act.account_id as "account_id?", act.session_id, act.request_id, act.api_key_id,
            act.actor_id, act.detail_hash, detail.salt as "salt?", detail.detail::text as detail,
            act.detail_hash is not null and detail.audit_seq is null and exists (
                select from users.audit erasure
                where erasure.act = 'user.erased'
                    and erasure.account_id in (act.account_id, act.actor_id)
            ) as "erased!"
        from users.audit_link link
        left join users.audit act on act.seq = link.audit_seq
        left join users.audit_detail detail on detail.audit_seq = link.audit_seq
        where link.n between $1 and $2
        order by link.n limit $3
        "#,
        from,
        to,
        limit,
    )
    .fetch_all(tx)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Link {
            n: row.n,
            hash: row.hash,
            audit_seq: row.audit_seq,
            act: match (row.seq, row.at, row.act, row.account_id) {
                (Some(seq), Some(at), Some(act), Some(account_id)) => Some(Recorded {
                    seq,
                    at,
                    act,
                    account_id,
                    session_id: row.session_id,
                    request_id: row.request_id,
                    api_key_id: row.api_key_id,
                    actor_id: row.actor_id,
                    detail_hash: row.detail_hash,
                }),
                _ => None,
            },
            detail: row
                .salt
                .zip(row.detail)
                .map(|(salt, text)| Detail { salt, text }),
            erased: row.erased,
        })
        .collect())
}

/// The first act between two numbers of the record, the latter included, that has no link.
pub(super) async fn unchained(
    tx: &mut PgConnection,
    after: i64,
    up_to: i64,
) -> Result<Option<i64>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"
        select seq from users.audit act
        where seq > $1 and seq <= $2
            and not exists (select from users.audit_link where audit_seq = act.seq)
        order by seq limit 1
        "#,
        after,
        up_to,
    )
    .fetch_optional(tx)
    .await
}

/// What happened to an account, newest first, from before `before` on.
pub(super) async fn of_account(
    pool: &PgPool,
    account_id: Uuid,
    before: i64,
    limit: i64,
) -> Result<Vec<OwnEvent>, sqlx::Error> {
    // Where somebody else did it, whence they did it is theirs.
    sqlx::query_as!(
        OwnEvent,
        r#"
        select seq, at, act, session_id, api_key_id, request_id,
            actor_id is not null as "by_other!",
            case when actor_id is null then detail ->> 'ip' end as ip,
            case when actor_id is null then detail ->> 'user_agent' end as user_agent
        from users.audit
        left join users.audit_detail on audit_seq = seq
        where account_id = $1 and seq < $2
        order by seq desc limit $3
        "#,
        account_id,
        before,
        limit,
    )
    .fetch_all(pool)
    .await
}

/// What happened that passes a filter, newest first, from before `before` on.
pub(super) async fn search(
    tx: &mut PgConnection,
    filter: &Filter,
    before: i64,
    limit: i64,
) -> Result<Vec<AuditEvent>, sqlx::Error> {
    sqlx::query_as!(
        AuditEvent,
        r#"
        select seq, link.n as "n?", at, act, account_id, actor_id, session_id, api_key_id, request_id,
            detail.detail as "detail?"
        from users.audit
        left join users.audit_link link on link.audit_seq = seq
        left join users.audit_detail detail on detail.audit_seq = seq
        where seq < $1
            and ($2::uuid is null or account_id = $2)
            and ($3::uuid is null or actor_id = $3)
            and ($4::text is null or act = $4)
            and ($5::timestamptz is null or at >= $5)
            and ($6::timestamptz is null or at < $6)
        order by seq desc limit $7
        "#,
        before,
        filter.account_id,
        filter.actor_id,
        filter.act.as_deref(),
        filter.from,
        filter.to,
        limit,
    )
    .fetch_all(tx)
    .await
}
