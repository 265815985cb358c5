//! Copies of what is known of an account.

use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;
use uuid::Uuid;

/// Notes that a copy is wanted, in the place of an earlier one.
pub(super) async fn begin(
    tx: &mut PgConnection,
    id: Uuid,
    account_id: Uuid,
    now: OffsetDateTime,
    expires_at: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"
        insert into users.export (id, account_id, asked_at, expires_at)
        values ($1, $2, $3, $4)
        on conflict on constraint export_account_key do update
        set id = excluded.id, asked_at = excluded.asked_at, expires_at = excluded.expires_at,
            document = null
        "#,
        id,
        account_id,
        now,
        expires_at,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// How many acts the record tells of an account, counted no further than `most`.
pub(super) async fn acts(
    tx: &mut PgConnection,
    account_id: Uuid,
    most: i64,
) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(
        r#"
        select count(*) as "count!" from (
            select from users.audit where account_id = $1 limit $2
        ) as act
        "#,
        account_id,
        most,
    )
    .fetch_one(tx)
    .await
}

/// A copy that is to be made.
pub(super) struct Waiting {
    pub(super) id: Uuid,
    pub(super) account_id: Uuid,
}

/// The copy of this id, or the one that has waited longest; ours to make until the commit.
pub(super) async fn take(
    tx: &mut PgConnection,
    id: Option<Uuid>,
    now: OffsetDateTime,
) -> Result<Option<Waiting>, sqlx::Error> {
    sqlx::query_as!(
        Waiting,
        r#"
        select id, account_id from users.export
        where document is null and expires_at > $2 and ($1::uuid is null or id = $1)
        order by asked_at limit 1
        for update skip locked
        "#,
        id,
        now,
    )
    .fetch_optional(tx)
    .await
}

/// All that is known of an account, as one text of JSON, of one moment: what belongs to it by table, but
/// for secrets and their hashes, and its acts, but for what others wrote down of theirs.
pub(super) async fn everything(
    tx: &mut PgConnection,
    account_id: Uuid,
) -> Result<String, sqlx::Error> {
    sqlx::query_scalar!(
        r#"
        select (users.tell_belongings($1) || jsonb_build_object(
            'account', (
                select jsonb_build_object(
                    'id', id, 'email', email, 'phone', phone, 'name', name,
                    'has_password', password_hash is not null, 'created_at', created_at,
                    'standing', standing, 'standing_until', standing_until,
                    'verified_at', verified_at)
                from users.account where id = $1),
            'acts', (
                select coalesce(jsonb_agg(jsonb_build_object(
                    'at', at, 'act', act, 'by_other', actor_id is not null,
                    'session_id', session_id, 'api_key_id', api_key_id, 'request_id', request_id,
                    'detail', case when actor_id is null then detail::jsonb end) order by seq), '[]')
                from users.audit
                left join users.audit_detail on audit_seq = seq
                where account_id = $1)
        ))::text as "document!"
        "#,
        account_id,
    )
    .fetch_one(tx)
    .await
}

/// Keeps a copy that was made.
pub(super) async fn keep(
    tx: &mut PgConnection,
    id: Uuid,
    document: &[u8],
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update users.export set document = $2 where id = $1",
        id,
        document
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// A copy of the account's that has not expired; the inner is none until it is made.
pub(super) async fn document(
    tx: &mut PgConnection,
    id: Uuid,
    account_id: Uuid,
    now: OffsetDateTime,
) -> Result<Option<Option<Vec<u8>>>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"
        select document from users.export
        where id = $1 and account_id = $2 and expires_at > $3
        "#,
        id,
        account_id,
        now,
    )
    .fetch_optional(tx)
    .await
}

/// Deletes copies whose week is over.
pub(crate) async fn sweep(
    pool: &PgPool,
    now: OffsetDateTime,
    batch: i64,
) -> Result<u64, sqlx::Error> {
    let swept = sqlx::query!(
        r#"
        delete from users.export where id in (
            select id from users.export
            where expires_at <= $1
            order by expires_at limit $2
            for update skip locked
        )
        "#,
        now,
        batch,
    )
    .execute(pool)
    .await?;
    Ok(swept.rows_affected())
}
