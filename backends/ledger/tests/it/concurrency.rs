//! Many writers at once, as replicas are.

use std::sync::{Arc, Barrier};

use ledger::Outcome;

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

/// A replica that is stopped between locking and writing (a frozen machine, a cut cable) and wakes up late.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_falls_silent_lets_its_accounts_go_and_writes_nothing_later() {
    let books = Books::new().await;
    let (ann, bob) = (books.wallet(100).await, books.wallet(0).await);
    // Met when it falls asleep, and when it is woken.
    let sleep = Arc::new(Barrier::new(2));
    let meet = {
        let sleep = sleep.clone();
        async move || {
            let sleep = sleep.clone();
            let met = tokio::task::spawn_blocking(move || sleep.wait()).await;
            met.expect("a thread");
        }
    };
    let mut late = order("late", ann, bob, usd(100));
    let answer = late.answer;
    late.answer = Box::new(move |verdict| {
        sleep.wait();
        sleep.wait();
        answer(verdict)
    });
    let pool = books.pool().clone();
    let frozen = tokio::spawn(async move { ledger::post(&pool, &[late]).await });
    meet().await; // It holds the locks now.

    let patient = books.pool_with(&[("lock_timeout", "0"), ("statement_timeout", "30s")]);
    let outcome = ledger::post(&patient, &[order("other", ann, bob, usd(70))])
        .await
        .expect("posted as soon as the locks were gone")
        .remove(0);
    assert!(matches!(outcome, Outcome::Fresh(_)) && status(&outcome) == 201);

    meet().await;
    frozen
        .await
        .expect("a task")
        .expect_err("its transaction is over");
    assert_eq!((books.posted(ann).await, books.posted(bob).await), (30, 70));
    books.assert_proven().await;
}
