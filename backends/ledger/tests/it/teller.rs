//! Group commit: many callers, few commits, and nobody suffers for another.

use std::task::Poll;

use ledger::{AccountId, Outcome, PostError, Teller};

use crate::books::{Books, order, status, usd};

async fn all_at_once(
    teller: &Teller,
    orders: Vec<ledger::Order>,
) -> Vec<Result<Outcome, PostError>> {
    let posts = orders.into_iter().map(|order| {
        let teller = teller.clone();
        tokio::spawn(async move { teller.post(order).await })
    });
    let mut results = Vec::new();
    for post in posts.collect::<Vec<_>>() {
        results.push(post.await.expect("a task"));
    }
    results
}

async fn commits(books: &Books) -> i64 {
    sqlx::query_scalar("select count(distinct xmin::text) from ledger.idem")
        .fetch_one(books.pool())
        .await
        .expect("a count")
}

#[tokio::test]
async fn many_callers_share_few_commits() {
    let books = Books::new().await;
    let (ann, bob) = (books.wallet(1_000).await, books.wallet(0).await);
    let teller = Teller::open(books.pool().clone());
    let orders = (0..200)
        .map(|n| order(&n.to_string(), ann, bob, usd(10)))
        .collect();
    let results = all_at_once(&teller, orders).await;
    let statuses: Vec<u16> = results
        .into_iter()
        .map(|result| status(&result.expect("an outcome")))
        .collect();
    assert_eq!(
        statuses.iter().filter(|status| **status == 201).count(),
        100
    );
    assert_eq!(
        statuses.iter().filter(|status| **status == 422).count(),
        100
    );
    assert_eq!(
        (books.posted(ann).await, books.posted(bob).await),
        (0, 1_000)
    );
    let commits = commits(&books).await;
    assert!(commits < 20, "{commits} commits for 200 orders");
    books.assert_proven().await;
}

/// The order that the database refuses fails alone; it is one whose account the rules know and the
/// database's own check, tightened here behind their back, does not let pay.
#[tokio::test]
async fn an_order_that_spoils_its_batch_fails_alone() {
    let books = Books::new().await;
    let (ann, bob, eve) = (
        books.wallet(1_000).await,
        books.wallet(0).await,
        books.wallet(77).await,
    );
    books
        .meddle("alter table ledger.account add constraint not_seventy check (posted <> 70)")
        .await
        .expect("a trap");
    let teller = Teller::open(books.pool().clone());
    let mut orders = vec![order("trap", eve, bob, usd(7))];
    orders.extend((0..20).map(|n| order(&n.to_string(), ann, bob, usd(100 - n))));
    let mut results = all_at_once(&teller, orders).await;
    let trapped = results.remove(0);
    assert!(
        matches!(trapped, Err(PostError::Database(_))),
        "{trapped:?}"
    );
    assert!(results.iter().all(Result::is_ok), "{results:?}");
    assert_eq!(books.posted(eve).await, 77);
    books.assert_proven().await;
}

/// Counts the attempts to write, also those that are rolled back; `$raise` is done in each.
macro_rules! counted {
    ($raise:literal) => {
        concat!(
            "create sequence attempts;
             create function count_attempt() returns trigger language plpgsql as $$
             declare attempt bigint := nextval('attempts');
             begin ",
            $raise,
            " return null; end $$;
             create trigger count_attempt after update on ledger.account
                 for each statement execute function count_attempt()"
        )
    };
}

async fn attempts(books: &Books) -> i64 {
    sqlx::query_scalar("select last_value from attempts")
        .fetch_one(books.pool())
        .await
        .expect("a count")
}

#[tokio::test]
async fn the_order_that_spoils_a_batch_is_found_by_halving() {
    let books = Books::new().await;
    let (ann, bob, eve) = (
        books.wallet(1_000).await,
        books.wallet(0).await,
        books.wallet(77).await,
    );
    books
        .meddle(counted!(
            "if exists (select from ledger.account where posted = 70) then
                 raise check_violation;
             end if;"
        ))
        .await
        .expect("a trap");
    let teller = Teller::open(books.pool().clone());
    let mut orders: Vec<_> = (0..127)
        .map(|n| order(&n.to_string(), ann, bob, usd(5)))
        .collect();
    orders.insert(90, order("trap", eve, bob, usd(7)));
    let mut results = all_at_once(&teller, orders).await;
    assert!(matches!(results.remove(90), Err(PostError::Database(_))));
    assert!(results.iter().all(Result::is_ok), "{results:?}");
    assert_eq!(
        (books.posted(bob).await, books.posted(eve).await),
        (635, 77)
    );
    let attempts = attempts(&books).await;
    assert!(attempts < 30, "{attempts} attempts for 128 orders");
    books.assert_proven().await;
}

/// A server that is going down may well begin with an error that looks like a wrong statement.
#[tokio::test]
async fn a_batch_is_not_taken_apart_against_a_server_that_is_away() {
    let books = Books::new().await;
    let (ann, bob) = (books.wallet(1_000).await, books.wallet(0).await);
    books
        .meddle(counted!(
            "if attempt = 1 then raise check_violation; else raise too_many_connections; end if;"
        ))
        .await
        .expect("a trap");
    let teller = Teller::open(books.pool().clone());
    let orders = (0..50)
        .map(|n| order(&n.to_string(), ann, bob, usd(1)))
        .collect();
    for result in all_at_once(&teller, orders).await {
        assert!(matches!(result, Err(PostError::Database(_))), "{result:?}");
    }
    assert_eq!(attempts(&books).await, 2);
}

/// Without a deadline of ours the teller would serve nobody any more.
#[tokio::test]
async fn a_server_that_falls_silent_holds_up_one_batch_and_no_more() {
    let books = Books::new().await;
    let (ann, bob) = (books.wallet(10).await, books.wallet(0).await);
    // A lock that is never granted, and sessions that wait for ever, stand for the silence.
    let pool = books.pool_with(&[("lock_timeout", "0"), ("statement_timeout", "0")]);
    let teller = Teller::open(pool);
    let mut silence = books.pool().begin().await.expect("a transaction");
    sqlx::query("select from ledger.account for update")
        .execute(&mut *silence)
        .await
        .expect("all locks");
    let stuck = tokio::spawn({
        let teller = teller.clone();
        async move { teller.post(order("k", ann, bob, usd(1))).await }
    });
    let waits = "select exists (select from pg_stat_activity
        where datname = current_database() and wait_event_type = 'Lock')";
    while !sqlx::query_scalar::<_, bool>(waits)
        .fetch_one(books.pool())
        .await
        .expect("the locks")
    {}
    // Time flies when nothing else happens.
    tokio::time::pause();
    let Err(PostError::Database(error)) = stuck.await.expect("a task") else {
        panic!("an answer without the database")
    };
    tokio::time::resume();
    assert!(pg::outage(&error), "{error}");

    silence.rollback().await.expect("it speaks again");
    let outcome = teller
        .post(order("k", ann, bob, usd(1)))
        .await
        .expect("an outcome");
    assert_eq!(status(&outcome), 201);
    assert_eq!(books.posted(bob).await, 1);
    books.assert_proven().await;
}

#[tokio::test]
async fn who_finds_the_queue_full_is_told_at_once() {
    let books = Books::new().await;
    let (ann, bob) = (books.wallet(5_000).await, books.wallet(0).await);
    let teller = Teller::open(books.pool().clone());
    let mut taken = Vec::new();
    // The teller runs on this thread, so nothing is served until we wait for something.
    let refused = loop {
        let key = taken.len().to_string();
        let mut post = Box::pin(teller.post(order(&key, ann, bob, usd(1))));
        match futures::poll!(&mut post) {
            Poll::Ready(result) => break result,
            Poll::Pending => taken.push(post),
        }
    };
    assert!(matches!(refused, Err(PostError::Busy)), "{refused:?}");
    assert_eq!(taken.len(), 4096);
    let served = futures::future::try_join_all(taken).await;
    assert_eq!(served.expect("an outcome for each").len(), 4096);
    assert_eq!(books.posted(bob).await, 4096);
    assert_eq!(commits(&books).await, 4, "batches of 1024");
}

#[tokio::test]
async fn a_panic_costs_its_batch_and_not_the_teller() {
    let books = Books::new().await;
    let (ann, bob) = (books.wallet(10).await, books.wallet(0).await);
    let teller = Teller::open(books.pool().clone());
    let mut bad = order("bad", ann, bob, usd(1));
    bad.answer = Box::new(|_| panic!("a bug in an answer"));
    assert!(matches!(teller.post(bad).await, Err(PostError::Lost)));
    let outcome = teller
        .post(order("good", ann, bob, usd(1)))
        .await
        .expect("an outcome");
    assert_eq!(status(&outcome), 201);
    assert_eq!(books.posted(bob).await, 1);
    books.assert_proven().await;
}

#[tokio::test]
async fn a_database_that_is_away_is_told_to_each_caller() {
    let books = Books::new().await;
    books.pool().close().await;
    let teller = Teller::open(books.pool().clone());
    let orders = (0..3)
        .map(|n| order(&n.to_string(), AccountId(1), AccountId(2), usd(1)))
        .collect();
    for result in all_at_once(&teller, orders).await {
        let Err(PostError::Database(error)) = result else {
            panic!("{result:?}")
        };
        assert!(pg::outage(&error), "{error}");
    }
}
