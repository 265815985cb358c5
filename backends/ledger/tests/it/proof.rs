//! The proof finds each way in which books can be wrong.

use ledger::Invariant;

use crate::books::{Books, order, usd};

/// Books with some traffic, then tampered with as only a superuser can; tells what the proof finds.
async fn found_after(tampering: &'static str) -> Vec<Invariant> {
    let books = Books::new().await;
    let (ann, bob) = (books.wallet(1_000).await, books.wallet(0).await);
    for (n, minor) in (1..6).enumerate() {
        books
            .post(&[order(&n.to_string(), ann, bob, usd(minor))])
            .await;
    }
    books.assert_proven().await;
    books.meddle(tampering).await.expect(tampering);
    let proof = books.prove().await;
    assert!(!proof.holds());
    Invariant::ALL
        .into_iter()
        .filter(|invariant| proof.violations(*invariant) > 0)
        .collect()
}

/// Triggers off, for this statement's transaction.
macro_rules! forced {
    ($sql:literal) => {
        concat!(
            "begin; set local session_replication_role = replica; ",
            $sql,
            "; commit"
        )
    };
}

#[tokio::test]
async fn a_changed_amount_breaks_balance_and_chain() {
    let found = found_after(forced!(
        "update ledger.journal set amount = amount + 1 where amount = 3"
    ))
    .await;
    assert_eq!(found, [Invariant::BalanceIsLegs, Invariant::ChainHolds]);
}

#[tokio::test]
async fn a_removed_row_breaks_balance_and_chain_and_leaves_its_key_astray() {
    let found = found_after(forced!("delete from ledger.journal where amount = 3")).await;
    assert_eq!(
        found,
        [
            Invariant::BalanceIsLegs,
            Invariant::ChainHolds,
            Invariant::OneEffect
        ]
    );
}

#[tokio::test]
async fn a_changed_balance_after_breaks_the_chain() {
    let found = found_after(forced!(
        "update ledger.journal set credit_after = credit_after + 1 where amount = 3"
    ))
    .await;
    assert_eq!(found, [Invariant::ChainHolds]);
}

#[tokio::test]
async fn money_from_nowhere_breaks_the_sum() {
    let found = found_after(
        "update ledger.account set posted = posted + 1 where kind = 1 and posted < 100",
    )
    .await;
    assert_eq!(found, [Invariant::SumIsZero, Invariant::BalanceIsLegs]);
}

#[tokio::test]
async fn a_row_of_another_currency_is_found() {
    let found = found_after(forced!(
        "update ledger.journal set currency = 978 where amount = 3"
    ))
    .await;
    assert_eq!(found, [Invariant::BalanceIsLegs]);
}

#[tokio::test]
async fn a_vanished_account_is_found() {
    let found = found_after("delete from ledger.account where kind = 1 and posted < 100").await;
    assert_eq!(found, [Invariant::SumIsZero, Invariant::BalanceIsLegs]);
}

#[tokio::test]
async fn an_uncovered_account_is_found() {
    let found = found_after(
        "alter table ledger.account drop constraint account_covered_check;
         update ledger.account set floor = 2000 where kind = 1 and posted > 100",
    )
    .await;
    assert_eq!(found, [Invariant::Covered]);
}

#[tokio::test]
async fn an_entry_under_two_keys_is_found() {
    let found = found_after(
        "insert into ledger.idem select principal, sha256('another'), fingerprint, entry_id, http_status, body, created_at
         from ledger.idem limit 1",
    )
    .await;
    assert_eq!(found, [Invariant::OneEffect]);
}

#[tokio::test]
async fn one_proof_at_a_time_is_enough() {
    let books = Books::new().await;
    let mut other = books.pool().begin().await.expect("a transaction");
    sqlx::query("select pg_advisory_xact_lock(hashtextextended('ledger proof', 0))")
        .execute(&mut *other)
        .await
        .expect("the lock of a proof");
    let proof = ledger::reconcile(books.pool()).await.expect("the books");
    assert!(proof.is_none());
    other.rollback().await.expect("it ends");
    assert!(books.prove().await.holds());
}
