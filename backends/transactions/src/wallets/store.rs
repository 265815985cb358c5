//! Wallets in the database, with the balances of the accounts behind them.

use std::collections::{BTreeMap, BTreeSet};

use ledger::{AccountId, Currency};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::{Known, Wallet};

pub(crate) async fn insert(
    conn: &mut PgConnection,
    id: Uuid,
    account: AccountId,
    owner: Uuid,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"
        insert into transactions.wallet (id, account, owner) values ($1, $2, $3)
        on conflict on constraint wallet_account_key do nothing
        "#,
        id,
        account.0,
        owner,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The owner's wallets with an id above `after`, in order of id.
pub(super) async fn of_owner(
    pool: &PgPool,
    owner: Uuid,
    after: Uuid,
    limit: i64,
) -> Result<Vec<Wallet>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"
        select wallet.id, account.currency, account.posted, account.held
        from transactions.wallet join ledger.account on account.id = wallet.account
        where wallet.owner = $1 and wallet.id > $2
        order by wallet.id limit $3
        "#,
        owner,
        after,
        limit,
    )
    .fetch_all(pool)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(Wallet::new(
                row.id,
                currency(row.currency)?,
                row.posted,
                row.held,
            ))
        })
        .collect()
}

pub(super) async fn by_id(
    pool: &PgPool,
    id: Uuid,
    owner: Uuid,
) -> Result<Option<Wallet>, sqlx::Error> {
    let row = sqlx::query!(
        r#"
        select account.currency, account.posted, account.held
        from transactions.wallet join ledger.account on account.id = wallet.account
        where wallet.id = $1 and wallet.owner = $2
        "#,
        id,
        owner,
    )
    .fetch_optional(pool)
    .await?;
    row.map(|row| {
        Ok(Wallet::new(
            id,
            currency(row.currency)?,
            row.posted,
            row.held,
        ))
    })
    .transpose()
}

/// Where a wallet's money is kept and whose it is.
pub(crate) async fn known(pool: &PgPool, id: Uuid) -> Result<Option<Known>, sqlx::Error> {
    let row = sqlx::query!(
        r#"select account, owner from transactions.wallet where id = $1"#,
        id
    )
    .fetch_optional(pool)
    .await?;
    Ok(row.map(|row| Known {
        account: AccountId(row.account),
        owner: row.owner,
    }))
}

/// The same of many; those that are not there are left out.
pub(crate) async fn all_known(
    pool: &PgPool,
    ids: &BTreeSet<Uuid>,
) -> Result<BTreeMap<Uuid, Known>, sqlx::Error> {
    let ids: Vec<Uuid> = ids.iter().copied().collect();
    let rows = sqlx::query!(
        r#"select id, account, owner from transactions.wallet where id = any($1)"#,
        &ids
    )
    .fetch_all(pool)
    .await?;
    let known = rows.into_iter().map(|row| {
        let known = Known {
            account: AccountId(row.account),
            owner: row.owner,
        };
        (row.id, known)
    });
    Ok(known.collect())
}

/// The currency that a row's number stands for.
pub(crate) fn currency(number: i16) -> Result<Currency, sqlx::Error> {
    Currency::by_number(number)
        .ok_or_else(|| sqlx::Error::Decode(format!("no currency has the number {number}").into()))
}
