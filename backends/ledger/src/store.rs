//! The ledger's SQL: one statement a function. Only here are balances written.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::{Connection, PgConnection, PgPool, Postgres, Transaction};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::account::{AccountId, Balance, Balances, Kind};
use crate::currency::Currency;
use crate::idem::{Answer, ClaimKey, Kept};
use crate::journal::{Code, Line};

/// `journal.kind`: money moved at once, as opposed to what holds will do.
const POST: i16 = 1;

/// Begins a transaction that ends by itself, with its locks, should we fall silent in it for so long: a
/// replica that is stopped or cut off must not keep accounts from the others.
pub(crate) async fn begin(
    conn: &mut PgConnection,
) -> Result<Transaction<'_, Postgres>, sqlx::Error> {
    let begin = "begin; set local idle_in_transaction_session_timeout = '3s'";
    let begin = format!("{begin}; {BY_INDEX}");
    conn.begin_with(sqlx::AssertSqlSafe(begin)).await
}

/// Everything that posting looks for is found by an index. The planner is told so, since it keeps the plan
/// of a statement that was first run when there was next to nothing in the tables, and would go on to read
/// them whole as they grow: each batch a little slower, until the statistics are renewed.
const BY_INDEX: &str = "set local enable_seqscan = off";

/// The same for a transaction that is under way: whoever runs our statements first on a connection
/// decides for those after them.
pub(crate) async fn go_by_index(tx: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(BY_INDEX).execute(tx).await.map(drop)
}

pub(crate) async fn find_account(
    conn: &mut PgConnection,
    owner: Option<Uuid>,
    currency: Currency,
    kind: Kind,
) -> Result<Option<AccountId>, sqlx::Error> {
    let id = sqlx::query_scalar!(
        r#"
        select id from ledger.account
        where owner is not distinct from $1 and currency = $2 and kind = $3
        "#,
        owner,
        currency.number(),
        kind.number(),
    )
    .fetch_optional(conn)
    .await?;
    Ok(id.map(AccountId))
}

pub(crate) async fn insert_account(
    conn: &mut PgConnection,
    owner: Option<Uuid>,
    currency: Currency,
    kind: Kind,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"
        insert into ledger.account (owner, currency, kind, flags) values ($1, $2, $3, $4)
        on conflict on constraint account_owner_currency_kind_key do nothing
        "#,
        owner,
        currency.number(),
        kind.number(),
        kind.flags(),
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Locks the accounts, always in order of id so that no two batches wait for each other in a circle.
pub(crate) async fn lock(
    conn: &mut PgConnection,
    accounts: &BTreeSet<AccountId>,
) -> Result<Balances, sqlx::Error> {
    let ids: Vec<i64> = accounts.iter().map(|account| account.0).collect();
    let rows = sqlx::query!(
        r#"
        select id, currency, flags, posted, held, floor, version from ledger.account
        where id = any($1) order by id for update
        "#,
        &ids,
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|row| {
            let currency = Currency::by_number(row.currency).ok_or_else(|| {
                sqlx::Error::Decode(format!("account {}: unknown currency", row.id).into())
            })?;
            let balance = Balance {
                currency,
                posted: row.posted,
                held: row.held,
                floor: row.floor,
                may_fall_below: row.flags & Balance::ALLOW_NEGATIVE != 0,
                version: row.version,
            };
            Ok((AccountId(row.id), balance))
        })
        .collect()
}

/// The answers kept under these keys.
pub(crate) async fn kept(
    conn: &mut PgConnection,
    keys: &BTreeSet<ClaimKey>,
) -> Result<BTreeMap<ClaimKey, Kept>, sqlx::Error> {
    let principals: Vec<Uuid> = keys.iter().map(|key| key.principal).collect();
    let hashes: Vec<Vec<u8>> = keys.iter().map(|key| key.hash.to_vec()).collect();
    let rows = sqlx::query!(
        r#"
        select idem.principal, idem.key_hash, idem.fingerprint, idem.entry_id, idem.http_status, idem.body
        from unnest($1::uuid[], $2::bytea[]) as asked (principal, key_hash)
        join ledger.idem on idem.principal = asked.principal and idem.key_hash = asked.key_hash
        "#,
        &principals,
        &hashes,
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|row| {
            let key = ClaimKey {
                principal: row.principal,
                hash: hash(row.key_hash)?,
            };
            let status =
                u16::try_from(row.http_status).map_err(|e| sqlx::Error::Decode(e.into()))?;
            let answer = Answer {
                status,
                body: row.body,
            };
            Ok((
                key,
                Kept {
                    fingerprint: hash(row.fingerprint)?,
                    entry: row.entry_id,
                    answer,
                },
            ))
        })
        .collect()
}

fn hash(bytes: Vec<u8>) -> Result<[u8; 32], sqlx::Error> {
    bytes
        .try_into()
        .map_err(|_| sqlx::Error::Decode("a hash of 32 bytes expected".into()))
}

/// The database's clock, as it is after whatever we waited for.
pub(crate) async fn now(conn: &mut PgConnection) -> Result<OffsetDateTime, sqlx::Error> {
    sqlx::query_scalar!(r#"select clock_timestamp() as "now!""#)
        .fetch_one(conn)
        .await
}

/// Whether the account was ever credited for this reason.
pub(crate) async fn was_credited(
    conn: &mut PgConnection,
    account: AccountId,
    code: Code,
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select exists (select from ledger.journal where credit_acct = $1 and code = $2) as "was!""#,
        account.0,
        code.number(),
    )
    .fetch_one(conn)
    .await
}

/// Writes journal, balances and answers in one statement.
///
/// `false`: another transaction has claimed one of the keys meanwhile, and ours must be rolled back.
/// `balances` are all those that were locked: whoever moved is found by the lines.
pub(crate) async fn write(
    conn: &mut PgConnection,
    lines: &[Line],
    balances: &Balances,
    kept: &BTreeMap<ClaimKey, Kept>,
    now: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    let legs = || lines.iter().map(|line| line.posted.leg);
    let moved: BTreeSet<AccountId> = legs()
        .flat_map(|leg| [leg.transfer.debit, leg.transfer.credit])
        .collect();
    let moved: Vec<(AccountId, &Balance)> = balances
        .iter()
        .filter(|(id, _)| moved.contains(id))
        .collect();
    let written = sqlx::query!(
        r#"
        with journal as (
            insert into ledger.journal (id, entry_id, leg, legs, kind, debit_acct, credit_acct, amount, currency,
                                        debit_after, credit_after, code, actor, created_at)
            select id, entry, leg, legs, $1, debit, credit, amount, currency, debit_after, credit_after, code, actor,
                   $2
            from unnest($3::uuid[], $4::bigint[], $5::bigint[], $6::bigint[], $7::smallint[], $8::bigint[],
                        $9::bigint[], $10::smallint[], $11::uuid[], $21::uuid[], $22::smallint[], $23::smallint[])
                with ordinality as line (id, debit, credit, amount, currency, debit_after, credit_after, code, actor,
                                         entry, leg, legs, n)
            order by n
            returning 1
        ), account as (
            update ledger.account set posted = moved.posted, version = moved.version
            from unnest($12::bigint[], $13::bigint[], $14::bigint[]) as moved (id, posted, version)
            where account.id = moved.id
            returning 1
        ), idem as (
            insert into ledger.idem (principal, key_hash, fingerprint, entry_id, http_status, body, created_at)
            select principal, key_hash, fingerprint, entry_id, http_status, body, $2
            from unnest($15::uuid[], $16::bytea[], $17::bytea[], $18::uuid[], $19::smallint[], $20::bytea[])
                with ordinality as kept (principal, key_hash, fingerprint, entry_id, http_status, body, n)
            order by n
            on conflict (principal, key_hash) do nothing
            returning 1
        )
        select (select count(*) from journal) as "journal!", (select count(*) from account) as "account!",
               (select count(*) from idem) as "idem!"
        "#,
        POST,
        now,
        &lines.iter().map(|line| line.posted.id).collect::<Vec<_>>(),
        &legs().map(|leg| leg.transfer.debit.0).collect::<Vec<_>>(),
        &legs().map(|leg| leg.transfer.credit.0).collect::<Vec<_>>(),
        &legs().map(|leg| leg.transfer.amount.minor()).collect::<Vec<_>>(),
        &legs().map(|leg| leg.transfer.amount.currency().number()).collect::<Vec<_>>(),
        &legs().map(|leg| leg.debit_after).collect::<Vec<_>>(),
        &legs().map(|leg| leg.credit_after).collect::<Vec<_>>(),
        &lines.iter().map(|line| line.posted.code.number()).collect::<Vec<_>>(),
        &lines.iter().map(|line| line.actor).collect::<Vec<_>>() as &[Option<Uuid>],
        &moved.iter().map(|(id, _)| id.0).collect::<Vec<_>>(),
        &moved.iter().map(|(_, balance)| balance.posted).collect::<Vec<_>>(),
        &moved.iter().map(|(_, balance)| balance.version).collect::<Vec<_>>(),
        &kept.keys().map(|key| key.principal).collect::<Vec<_>>(),
        &kept.keys().map(|key| key.hash.to_vec()).collect::<Vec<_>>(),
        &kept.values().map(|kept| kept.fingerprint.to_vec()).collect::<Vec<_>>(),
        &kept.values().map(|kept| kept.entry).collect::<Vec<_>>() as &[Option<Uuid>],
        &kept.values().map(|kept| i16::try_from(kept.answer.status).expect("an HTTP status")).collect::<Vec<_>>(),
        &kept.values().map(|kept| kept.answer.body.clone()).collect::<Vec<_>>(),
        &lines.iter().map(|line| line.entry).collect::<Vec<_>>(),
        &lines.iter().map(|line| line.n).collect::<Vec<_>>(),
        &lines.iter().map(|line| line.legs).collect::<Vec<_>>(),
    )
    .fetch_one(conn)
    .await?;
    assert_eq!(written.journal, lines.len() as i64, "each line is written");
    assert_eq!(
        written.account,
        moved.len() as i64,
        "each locked account is written"
    );
    Ok(written.idem == kept.len() as i64)
}

/// For the rest of the transaction a statement may take as long as a long table asks for.
pub(crate) async fn be_patient(tx: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query!("select set_config('statement_timeout', '30min', true)")
        .fetch_one(tx)
        .await
        .map(drop)
}

pub(crate) async fn make_partitions(pool: &PgPool, months_ahead: u8) -> Result<u32, sqlx::Error> {
    let made = sqlx::query_scalar!(
        r#"select ledger.make_partitions($1) as "made!""#,
        i32::from(months_ahead)
    )
    .fetch_one(pool)
    .await?;
    Ok(made.unsigned_abs())
}

/// Deletes at most `limit` answers older than `days`.
pub(crate) async fn forget(
    conn: &mut PgConnection,
    days: u16,
    limit: i64,
) -> Result<u64, sqlx::Error> {
    let done = sqlx::query!(
        r#"
        delete from ledger.idem where (principal, key_hash) in (
            select principal, key_hash from ledger.idem
            where created_at < now() - make_interval(days => $1) limit $2
        )
        "#,
        i32::from(days),
        limit,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}
