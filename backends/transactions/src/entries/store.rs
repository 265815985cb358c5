//! The journal, as one account sees it.

use ledger::{AccountId, Amount, Code};
use sqlx::PgPool;
use uuid::Uuid;

use super::{Direction, Entry};
use crate::wallets::store::currency;

/// The account's entries, newest first; those posted before the transfer `before` where one is given.
pub(super) async fn of_account(
    pool: &PgPool,
    account: AccountId,
    before: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Entry>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"
        select posting.transfer_id as "transfer_id!", posting.code as "code!",
               posting.amount as "amount!", posting.currency as "currency!",
               posting.balance_after as "balance_after!", posting.created_at as "created_at!",
               other.id as "counterparty?"
        from (
            -- First the page, off the two indexes by account and seq; only then who the others are.
            select seq, transfer_id, code, amount, currency, balance_after, created_at, counterparty
            from ledger.posting
            where account = $1 and seq < case
                when $2::uuid is null then 9223372036854775807
                else (select journal.seq from ledger.journal where journal.id = $2) end
            order by seq desc limit $3
        ) as posting
        left join transactions.wallet as other on other.account = posting.counterparty
        order by posting.seq desc
        "#,
        account.0,
        before,
        limit,
    )
    .fetch_all(pool)
    .await?;
    rows.into_iter()
        .map(|row| {
            let code = Code::by_number(row.code)
                .ok_or_else(|| undecodable(format!("no code {}", row.code)))?;
            let amount = i64::try_from(row.amount.unsigned_abs()).map_err(undecodable)?;
            Ok(Entry {
                id: row.transfer_id,
                kind: code.into(),
                direction: if row.amount > 0 {
                    Direction::In
                } else {
                    Direction::Out
                },
                amount: Amount::new(amount, currency(row.currency)?).map_err(undecodable)?,
                counterparty: row.counterparty,
                balance_after: row.balance_after,
                created_at: row.created_at,
            })
        })
        .collect()
}

fn undecodable(why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> sqlx::Error {
    sqlx::Error::Decode(why.into())
}
