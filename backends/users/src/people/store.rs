//! Accounts as lists show them, and what becomes of their standing.

use sqlx::{PgConnection, PgExecutor};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{
    Person, StandingName,
    list::{Filter, Sort},
    moderate::Words,
};
use crate::account::Standing;

/// A standing as it is put down.
pub(super) struct Put<'a> {
    pub(super) standing: Standing,
    pub(super) words: &'a Words,
    pub(super) until: Option<OffsetDateTime>,
}

/// A row of the two statements below.
struct Row {
    id: Uuid,
    email: Option<String>,
    phone: Option<String>,
    name: Option<String>,
    roles: Vec<String>,
    standing: Standing,
    standing_reason: Option<String>,
    standing_until: Option<OffsetDateTime>,
    verified_at: Option<OffsetDateTime>,
    created_at: OffsetDateTime,
    version: i64,
}

impl Row {
    fn person(self, now: OffsetDateTime) -> Person {
        let person = Person {
            id: self.id,
            email: self.email,
            phone: self.phone,
            name: self.name,
            masked: false,
            roles: self.roles,
            standing: self.standing.into(),
            standing_reason: self.standing_reason,
            standing_until: self.standing_until,
            verified_at: self.verified_at,
            created_at: self.created_at,
            version: self.version,
        };
        person.at(now)
    }
}

/// The account of this id, in full.
pub(super) async fn by_id(
    db: impl PgExecutor<'_>,
    id: Uuid,
    now: OffsetDateTime,
) -> Result<Option<Person>, sqlx::Error> {
    let row = sqlx::query_as!(
        Row,
        r#"
        select id, email, phone, name, standing, standing_reason, standing_until, verified_at,
            created_at, version,
            array(select role from users.account_role where account_id = id order by role) as "roles!"
        from users.account where id = $1
        "#,
        id,
    )
    .fetch_optional(db)
    .await?;
    Ok(row.map(|row| row.person(now)))
}

/// Accounts behind one, in the order that was asked for.
pub(super) async fn list(
    db: impl PgExecutor<'_>,
    filter: &Filter,
    behind: Option<Uuid>,
    limit: i64,
    now: OffsetDateTime,
) -> Result<Vec<Person>, sqlx::Error> {
    let rows = match filter.sort {
        Sort::Oldest => oldest(db, filter, behind, limit, now).await?,
        Sort::Newest => newest(db, filter, behind, limit, now).await?,
    };
    Ok(rows.into_iter().map(|row| row.person(now)).collect())
}

/// The oldest first. Ids are of the time at which they were made, so they are the order.
async fn oldest(
    db: impl PgExecutor<'_>,
    filter: &Filter,
    behind: Option<Uuid>,
    limit: i64,
    now: OffsetDateTime,
) -> Result<Vec<Row>, sqlx::Error> {
    sqlx::query_as!(
        Row,
        r#"
        select id, email, phone, name, standing, standing_reason, standing_until, verified_at,
            created_at, version,
            array(select role from users.account_role where account_id = id order by role) as "roles!"
        from users.account
        where ($1::text is null or $1 = case when standing_until <= $2 then 'active' else standing end)
            and ($3::text is null
                or exists (select from users.account_role where account_id = id and role = $3))
            and ($4::bool is null or $4 = (verified_at is not null))
            and ($5::timestamptz is null or created_at >= $5)
            and ($6::timestamptz is null or created_at < $6)
            and ($7::text is null or email = $7)
            and ($8::text is null or phone = $8)
            and ($9::uuid is null or id = $9)
            and ($10::uuid is null or id > $10)
        order by id limit $11
        "#,
        filter.standing.map(StandingName::text),
        now,
        filter.role.as_ref().map(|role| role.as_str()),
        filter.verified,
        filter.created_from,
        filter.created_to,
        filter.email.as_ref().map(|email| email.as_str()),
        filter.phone.as_ref().map(|phone| phone.as_str()),
        filter.id,
        behind,
        limit,
    )
    .fetch_all(db)
    .await
}

/// The newest first.
async fn newest(
    db: impl PgExecutor<'_>,
    filter: &Filter,
    behind: Option<Uuid>,
    limit: i64,
    now: OffsetDateTime,
) -> Result<Vec<Row>, sqlx::Error> {
    sqlx::query_as!(
        Row,
        r#"
        select id, email, phone, name, standing, standing_reason, standing_until, verified_at,
            created_at, version,
            array(select role from users.account_role where account_id = id order by role) as "roles!"
        from users.account
        where ($1::text is null or $1 = case when standing_until <= $2 then 'active' else standing end)
            and ($3::text is null
                or exists (select from users.account_role where account_id = id and role = $3))
            and ($4::bool is null or $4 = (verified_at is not null))
            and ($5::timestamptz is null or created_at >= $5)
            and ($6::timestamptz is null or created_at < $6)
            and ($7::text is null or email = $7)
            and ($8::text is null or phone = $8)
            and ($9::uuid is null or id = $9)
            and ($10::uuid is null or id < $10)
        order by id desc limit $11
        "#,
        filter.standing.map(StandingName::text),
        now,
        filter.role.as_ref().map(|role| role.as_str()),
        filter.verified,
        filter.created_from,
        filter.created_to,
        filter.email.as_ref().map(|email| email.as_str()),
        filter.phone.as_ref().map(|phone| phone.as_str()),
        filter.id,
        behind,
        limit,
    )
    .fetch_all(db)
    .await
}

/// The version of an account.
pub(super) async fn version(tx: &mut PgConnection, id: Uuid) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(r#"select version from users.account where id = $1"#, id)
        .fetch_one(tx)
        .await
}

/// Gives an account a name, or none.
pub(super) async fn rename(
    tx: &mut PgConnection,
    id: Uuid,
    name: Option<&str>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"update users.account set name = $2, version = version + 1 where id = $1"#,
        id,
        name,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Gives an account another standing.
pub(super) async fn put_standing(
    tx: &mut PgConnection,
    id: Uuid,
    put: &Put<'_>,
) -> Result<(), sqlx::Error> {
    // An account that is active has no reason to be.
    let words = Some(put.words).filter(|_| put.standing != Standing::Active);
    sqlx::query!(
        r#"
        update users.account
        set standing = $2, standing_reason = $3, standing_note = $4, standing_until = $5,
            perm_ver = perm_ver + 1, version = version + 1
        where id = $1
        "#,
        id,
        put.standing.name(),
        words.and_then(|words| words.reason.as_deref()),
        words.and_then(|words| words.note.as_deref()),
        put.until,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Makes active again what was set until now or earlier, and gives whom.
pub(super) async fn lift(
    tx: &mut PgConnection,
    now: OffsetDateTime,
    limit: i64,
) -> Result<Vec<Uuid>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"
        update users.account
        set standing = 'active', standing_reason = null, standing_note = null,
            standing_until = null, perm_ver = perm_ver + 1, version = version + 1
        where id in (
            select id from users.account where standing_until <= $1
            order by standing_until limit $2
            for update skip locked
        )
        returning id
        "#,
        now,
        limit,
    )
    .fetch_all(tx)
    .await
}

/// Notes that somebody here has made sure who an account's owner is.
pub(super) async fn verify(
    tx: &mut PgConnection,
    id: Uuid,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"
        update users.account set verified_at = coalesce(verified_at, $2), version = version + 1
        where id = $1
        "#,
        id,
        now,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Takes every second factor from an account, and the codes on paper.
pub(super) async fn remove_factors(tx: &mut PgConnection, id: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"
        with factors as (
            delete from users.second_factor where account_id = $1
        ), codes as (
            delete from users.recovery_code where account_id = $1
        ), passkeys as (
            delete from users.passkey where account_id = $1
        ), failures as (
            delete from users.factor_failure where account_id = $1
        )
        delete from users.pending_login where account_id = $1
        "#,
        id,
    )
    .execute(tx)
    .await?;
    Ok(())
}
