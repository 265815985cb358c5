//! One effect and one answer for each key.

use ledger::Outcome;
use uuid::Uuid;

use crate::books::{Books, order, order_of, status, usd};

#[tokio::test]
async fn a_repetition_gets_the_very_same_answer_and_moves_nothing() {
    let books = Books::new().await;
    let (ann, bob) = (books.wallet(100).await, books.wallet(0).await);
    let first = books.post(&[order("k", ann, bob, usd(60))]).await.remove(0);
    let again = books.post(&[order("k", ann, bob, usd(60))]).await.remove(0);
    let Outcome::Fresh(answer) = first else {
        panic!("{first:?}")
    };
    assert_eq!(again, Outcome::Replayed(answer));
    assert_eq!(books.posted(bob).await, 60);
    books.assert_proven().await;
}

#[tokio::test]
async fn a_refusal_is_repeated_even_when_the_money_has_come_since() {
    let books = Books::new().await;
    let (ann, bob) = (books.wallet(0).await, books.wallet(100).await);
    let refused = books.post(&[order("k", ann, bob, usd(60))]).await.remove(0);
    books.post(&[order("gift", bob, ann, usd(100))]).await;
    let again = books.post(&[order("k", ann, bob, usd(60))]).await.remove(0);
    let Outcome::Fresh(answer) = refused else {
        panic!("{refused:?}")
    };
    assert_eq!(answer.status, 422);
    assert_eq!(again, Outcome::Replayed(answer));
    assert_eq!(books.posted(ann).await, 100);
}

#[tokio::test]
async fn another_request_under_the_key_is_refused_and_moves_nothing() {
    let books = Books::new().await;
    let (ann, bob) = (books.wallet(100).await, books.wallet(0).await);
    books.post(&[order("k", ann, bob, usd(10))]).await;
    let other = books.post(&[order("k", ann, bob, usd(11))]).await;
    assert_eq!(other, [Outcome::KeyReused]);
    assert_eq!(books.posted(ann).await, 90);
}

#[tokio::test]
async fn two_principals_may_choose_the_same_key() {
    let books = Books::new().await;
    let (ann, bob) = (books.wallet(100).await, books.wallet(100).await);
    let one = order_of(Uuid::new_v4(), "k", ann, bob, usd(10));
    let two = order_of(Uuid::new_v4(), "k", bob, ann, usd(30));
    let outcomes = books.post(&[one, two]).await;
    assert!(
        outcomes
            .iter()
            .all(|outcome| matches!(outcome, Outcome::Fresh(answer) if answer.status == 201))
    );
    assert_eq!(books.posted(ann).await, 120);
}

#[tokio::test]
async fn copies_within_a_batch_have_one_effect() {
    let books = Books::new().await;
    let (ann, bob) = (books.wallet(100).await, books.wallet(0).await);
    let outcomes = books
        .post(&[
            order("k", ann, bob, usd(10)),
            order("k", ann, bob, usd(10)),
            order("k", ann, bob, usd(20)),
            order("other", ann, bob, usd(1)),
        ])
        .await;
    let Outcome::Fresh(answer) = &outcomes[0] else {
        panic!("{outcomes:?}")
    };
    assert_eq!(outcomes[1], Outcome::Replayed(answer.clone()));
    assert_eq!(outcomes[2], Outcome::KeyReused);
    assert_eq!(status(&outcomes[3]), 201);
    assert_eq!(books.posted(bob).await, 11);
    books.assert_proven().await;
}

#[tokio::test]
async fn concurrent_copies_have_one_effect_and_one_answer() {
    let books = Books::new().await;
    let (ann, bob) = (books.wallet(100).await, books.wallet(0).await);
    let mut copies = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let pool = books.pool().clone();
        copies.spawn(async move {
            ledger::post(&pool, &[order("k", ann, bob, usd(5))])
                .await
                .expect("posted")
        });
    }
    let outcomes: Vec<_> = copies.join_all().await.into_iter().flatten().collect();
    let fresh: Vec<_> = outcomes
        .iter()
        .filter(|outcome| matches!(outcome, Outcome::Fresh(_)))
        .collect();
    let [Outcome::Fresh(answer)] = fresh[..] else {
        panic!("{fresh:?}")
    };
    let replays = outcomes
        .iter()
        .filter(|outcome| **outcome == Outcome::Replayed(answer.clone()))
        .count();
    assert_eq!(replays, 19);
    assert_eq!(books.posted(bob).await, 5);
    books.assert_proven().await;
}

/// Different accounts, so no account's lock keeps them apart: the key alone must.
#[tokio::test]
async fn concurrent_requests_under_one_key_have_one_effect() {
    let books = Books::new().await;
    let mut pairs = Vec::new();
    for _ in 0..10 {
        pairs.push((books.wallet(100).await, books.wallet(0).await));
    }
    let mut posts = tokio::task::JoinSet::new();
    for (from, to) in pairs.clone() {
        let pool = books.pool().clone();
        posts.spawn(async move {
            ledger::post(&pool, &[order("k", from, to, usd(5))])
                .await
                .expect("posted")
        });
    }
    let outcomes: Vec<_> = posts.join_all().await.into_iter().flatten().collect();
    assert_eq!(
        outcomes
            .iter()
            .filter(|outcome| matches!(outcome, Outcome::Fresh(_)))
            .count(),
        1
    );
    assert_eq!(
        outcomes
            .iter()
            .filter(|outcome| **outcome == Outcome::KeyReused)
            .count(),
        9
    );
    let mut moved = 0;
    for (_, to) in pairs {
        moved += books.posted(to).await;
    }
    assert_eq!(moved, 5);
    books.assert_proven().await;
}

#[tokio::test]
async fn answers_are_forgotten_after_their_time_only() {
    let books = Books::new().await;
    let (ann, bob) = (books.wallet(100).await, books.wallet(0).await);
    books
        .post(&[
            order("old", ann, bob, usd(1)),
            order("new", ann, bob, usd(1)),
        ])
        .await;
    sqlx::query("update ledger.idem set created_at = now() - interval '31 days' where key_hash = sha256('old')")
        .execute(books.pool())
        .await
        .expect("time passes");
    assert_eq!(
        ledger::forget_answers(books.pool(), 30)
            .await
            .expect("forgotten"),
        1
    );
    let outcomes = books
        .post(&[
            order("old", ann, bob, usd(1)),
            order("new", ann, bob, usd(1)),
        ])
        .await;
    assert!(
        matches!(outcomes[..], [Outcome::Fresh(_), Outcome::Replayed(_)]),
        "{outcomes:?}"
    );
}

/// After a month of much traffic, looking for what is old takes longer than any request's statement may.
#[tokio::test]
async fn forgetting_may_take_longer_than_a_request() {
    let books = Books::new().await;
    books
        .meddle(
            "create function slow() returns trigger language plpgsql as
                 $$ begin perform pg_sleep(1.2); return null; end $$;
             create trigger slow before delete on ledger.idem for each statement execute function slow()",
        )
        .await
        .expect("a slow table");
    let hasty = books.pool_with(&[("statement_timeout", "1s")]);
    let forgotten = ledger::forget_answers(&hasty, 30).await;
    assert_eq!(forgotten.expect("time enough"), 0);
}
