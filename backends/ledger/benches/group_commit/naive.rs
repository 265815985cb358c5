//! The usual way to move money in SQL, as the peer: one transaction for each transfer, both rows locked,
//! a statement for each thing that is written. It keeps the very same books, so that the proof holds for
//! both.

use sqlx::{Connection, PgConnection};
use uuid::Uuid;

/// Moves `amount` and says so under a key, durably.
pub(super) async fn transfer(
    line: &mut PgConnection,
    debit: i64,
    credit: i64,
    amount: i64,
) -> Result<(), sqlx::Error> {
    let mut tx = line.begin().await?;
    // In order of id: two that pay each other would wait for each other else.
    let locked: Vec<(i64, i64, i64)> = sqlx::query_as(
        "select id, posted, posted - held - floor from ledger.account
        where id = any($1) order by id for update",
    )
    .bind([debit, credit])
    .fetch_all(&mut *tx)
    .await?;
    let of = |id| locked.iter().find(|row| row.0 == id);
    let (Some(payer), Some(payee)) = (of(debit), of(credit)) else {
        return Err(sqlx::Error::RowNotFound);
    };
    assert!(payer.2 >= amount, "the bench's accounts are rich");
    let (key, principal) = (Uuid::new_v4(), Uuid::nil());
    let known = "select 1 from ledger.idem where principal = $1 and key_hash = sha256($2)";
    sqlx::query(known)
        .bind(principal)
        .bind(&key.as_bytes()[..])
        .fetch_optional(&mut *tx)
        .await?;
    let id = Uuid::now_v7();
    sqlx::query(
        "insert into ledger.journal (id, entry_id, leg, kind, debit_acct, credit_acct, amount, currency,
            debit_after, credit_after, code, actor, created_at)
        values ($1, $1, 0, 1, $2, $3, $4, 840, $5, $6, 1, $7, now())",
    )
    .bind(id)
    .bind(debit)
    .bind(credit)
    .bind(amount)
    .bind(payer.1 - amount)
    .bind(payee.1 + amount)
    .bind(principal)
    .execute(&mut *tx)
    .await?;
    for (account, by) in [(debit, -amount), (credit, amount)] {
        let moved =
            "update ledger.account set posted = posted + $2, version = version + 1 where id = $1";
        sqlx::query(moved)
            .bind(account)
            .bind(by)
            .execute(&mut *tx)
            .await?;
    }
    sqlx::query(
        "insert into ledger.idem (principal, key_hash, fingerprint, entry_id, http_status, body, created_at)
        values ($1, sha256($2), sha256($2), $3, 201, $2, now())",
    )
    .bind(principal)
    .bind(&key.as_bytes()[..])
    .bind(id)
    .execute(&mut *tx)
    .await?;
    tx.commit().await
}
