//! Entries of several legs: all of them or none.

use ledger::{
    AccountId, Chain, ChainLength, Code, Invariant, Move, Order, Outcome, PostError, Refusal,
    Teller,
};

use crate::books::{Books, order, refused, status, transfer, usd};

/// An order of several legs, each from, to, and cents.
fn linked(key: &str, legs: &[(AccountId, AccountId, i64)]) -> Order {
    let moves = legs.iter().map(|(from, to, minor)| Move {
        transfer: transfer(*from, *to, usd(*minor)),
        code: Code::Transfer,
    });
    let (from, to, _) = legs[0];
    Order {
        chain: Chain::new(moves.collect()).expect("short enough"),
        ..order(key, from, to, usd(1))
    }
}

#[tokio::test]
async fn a_chain_is_one_entry_with_a_row_for_each_leg() {
    let books = Books::new().await;
    let (ann, bob, cyd) = (
        books.wallet(100).await,
        books.wallet(0).await,
        books.wallet(0).await,
    );
    // Bob passes on what he has just been given.
    let legs = [(ann, bob, 100), (bob, cyd, 70), (bob, ann, 30)];
    let outcomes = books.post(&[linked("a", &legs)]).await;
    let Outcome::Fresh(answer) = &outcomes[0] else {
        panic!("{outcomes:?}");
    };
    assert_eq!(answer.status, 201);
    let sql = "select entry_id::text, id = entry_id, leg, legs, amount from ledger.journal
        where code = 1 order by seq";
    let rows: Vec<(String, bool, i16, i16, i64)> = sqlx::query_as(sql)
        .fetch_all(books.pool())
        .await
        .expect("rows");
    let entry = String::from_utf8(answer.body.clone()).expect("an id");
    let row = |leg: i16, amount| (entry.clone(), leg == 0, leg, 3, amount);
    assert_eq!(rows, [row(0, 100), row(1, 70), row(2, 30)]);
    for (wallet, posted) in [(ann, 30), (bob, 0), (cyd, 70)] {
        assert_eq!(books.posted(wallet).await, posted);
    }
    let again = books.post(&[linked("a", &legs)]).await;
    assert_eq!(again, [Outcome::Replayed(answer.clone())]);
    books.assert_proven().await;
}

#[tokio::test]
async fn of_a_chain_that_fails_nothing_is_left_and_the_next_is_judged_without_it() {
    let books = Books::new().await;
    let (ann, bob) = (books.wallet(100).await, books.wallet(0).await);
    let outcomes = books
        .post(&[
            linked("a", &[(ann, bob, 60), (ann, bob, 41)]),
            order("b", ann, bob, usd(100)),
        ])
        .await;
    assert_eq!(outcomes[0], refused(Refusal::InsufficientFunds));
    assert_eq!(status(&outcomes[1]), 201);
    assert_eq!((books.posted(ann).await, books.posted(bob).await), (0, 100));
    books.assert_proven().await;
}

#[tokio::test]
async fn an_entry_that_has_lost_a_leg_is_found() {
    for lost in ["leg = 0", "leg = 1", "leg = 2"] {
        let books = Books::new().await;
        let (ann, bob) = (books.wallet(100).await, books.wallet(0).await);
        let legs = [(ann, bob, 1), (ann, bob, 2), (ann, bob, 3)];
        books.post(&[linked("a", &legs)]).await;
        books.assert_proven().await;
        let sql = format!(
            "begin; set local session_replication_role = replica;
            delete from ledger.journal where code = 1 and {lost}; commit"
        );
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql))
            .execute(books.pool())
            .await
            .expect("tampered with");
        let proof = books.prove().await;
        assert_eq!(proof.violations(Invariant::EntryWhole), 1, "{lost}");
    }
}

#[tokio::test]
async fn long_chains_fill_the_queue_by_their_legs() {
    let books = Books::new().await;
    let (ann, bob) = (books.wallet(10_000).await, books.wallet(0).await);
    let teller = Teller::open(books.pool().clone());
    // Served by this thread, so not before something is waited for.
    let posts: Vec<_> = (0..70)
        .map(|n| teller.post(linked(&n.to_string(), &[(ann, bob, 1); 64])))
        .collect();
    let results = futures::future::join_all(posts).await;
    let busy = |result: &&Result<_, _>| matches!(result, Err(PostError::Busy));
    assert_eq!(results.iter().filter(busy).count(), 6, "4096 legs wait");
    for done in results.iter().flatten() {
        assert_eq!(status(done), 201);
    }
    assert_eq!(books.posted(bob).await, 64 * 64);
    books.assert_proven().await;
}

#[test]
fn a_chain_has_one_to_sixty_four_legs() {
    let step = Move {
        transfer: transfer(AccountId(1), AccountId(2), usd(1)),
        code: Code::Transfer,
    };
    for (legs, good) in [(0, false), (1, true), (64, true), (65, false)] {
        let chain = Chain::new(vec![step; legs]);
        assert_eq!(chain.is_ok(), good, "{legs}");
        assert!(good || chain == Err(ChainLength));
    }
}
