//! Many writers at once, as replicas are.

use crate::books::{Books, order, status, usd};

#[tokio::test]
async fn the_full_balance_is_spent_once_by_many_at_once() {
    let books = Books::new().await;
    let (ann, bob) = (books.wallet(1_000).await, books.wallet(0).await);
    let mut spenders = tokio::task::JoinSet::new();
    for n in 0..40 {
        let pool = books.pool().clone();
        spenders.spawn(async move {
            let orders: Vec<_> = (0..5)
                .map(|m| order(&format!("{n}/{m}"), ann, bob, usd(1_000)))
                .collect();
            ledger::post(&pool, &orders).await.expect("posted")
        });
    }
    let statuses: Vec<u16> = spenders
        .join_all()
        .await
        .iter()
        .flatten()
        .map(status)
        .collect();
    assert_eq!(statuses.iter().filter(|status| **status == 201).count(), 1);
    assert_eq!(
        statuses.iter().filter(|status| **status == 422).count(),
        199
    );
    assert_eq!(
        (books.posted(ann).await, books.posted(bob).await),
        (0, 1_000)
    );
    books.assert_proven().await;
}

/// Batches of opposite orders, in opposite sequence: a lock taken as it comes would deadlock soon.
#[tokio::test]
async fn opposite_transfers_never_wait_for_each_other_in_a_circle() {
    let books = Books::new().await;
    let (ann, bob, cid) = (
        books.wallet(1_000).await,
        books.wallet(1_000).await,
        books.wallet(1_000).await,
    );
    let mut writers = tokio::task::JoinSet::new();
    for n in 0..8 {
        let pool = books.pool().clone();
        writers.spawn(async move {
            for m in 0..25 {
                let mut pairs = [(ann, bob), (bob, cid), (cid, ann), (bob, ann)];
                if n % 2 == 0 {
                    pairs.reverse();
                }
                let orders: Vec<_> = pairs
                    .iter()
                    .map(|(from, to)| order(&format!("{n}/{m}/{from:?}{to:?}"), *from, *to, usd(1)))
                    .collect();
                let outcomes = ledger::post(&pool, &orders).await.expect("no deadlock");
                assert!(
                    outcomes.iter().all(|outcome| status(outcome) == 201),
                    "{outcomes:?}"
                );
            }
        });
    }
    writers.join_all().await;
    let sum = books.posted(ann).await + books.posted(bob).await + books.posted(cid).await;
    assert_eq!(sum, 3_000);
    books.assert_proven().await;
}
