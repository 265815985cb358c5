//! The journal is cut by months: what happens at the cut, and where there is no partition.

use ledger::Outcome;
use sqlx::PgPool;

use crate::books::{Books, order, status, usd};

/// A pool to whose sessions the database's clock shows what `at` last said.
async fn with_clock(books: &Books) -> PgPool {
    books
        .meddle(
            "create schema fake;
             create table fake.clock (at timestamptz);
             insert into fake.clock values (now());
             create function fake.clock_timestamp() returns timestamptz language sql stable
                 as 'select at from fake.clock'",
        )
        .await
        .expect("a clock");
    books.pool_with(&[("search_path", "fake,pg_catalog")])
}

async fn set(books: &Books, at: &'static str) {
    books.meddle(at).await.expect(at);
}

#[tokio::test]
async fn the_last_moment_of_a_month_and_the_first_of_the_next_are_a_chain_over_two_partitions() {
    let books = Books::new().await;
    ledger::make_partitions(books.pool(), 3)
        .await
        .expect("partitions");
    let (ann, bob) = (books.wallet(100).await, books.wallet(0).await);
    let pool = with_clock(&books).await;
    set(
        &books,
        "update fake.clock set at = (date_trunc('month', now() at time zone 'UTC') + interval '1 month')
            at time zone 'UTC' - interval '1 microsecond'",
    )
    .await;
    let last = [
        order("last", ann, bob, usd(60)),
        order("also", ann, bob, usd(1)),
    ];
    ledger::post(&pool, &last).await.expect("posted");
    set(
        &books,
        "update fake.clock set at = at + interval '1 microsecond'",
    )
    .await;
    let first = [
        order("first", bob, ann, usd(60)),
        last.into_iter().next().expect("two"),
    ];
    let outcomes = ledger::post(&pool, &first).await.expect("posted");
    assert!(
        matches!(outcomes[..], [Outcome::Fresh(_), Outcome::Replayed(_)]),
        "{outcomes:?}"
    );

    let rows: Vec<(i64, i64)> = sqlx::query_as(
        "select (select count(*) from ledger.journal before where before.tableoid <> journal.tableoid
                     and before.seq < journal.seq and before.code = 1), amount
         from ledger.journal where code = 1 order by seq",
    )
    .fetch_all(books.pool())
    .await
    .expect("the rows");
    assert_eq!(rows, [(0, 60), (0, 1), (2, 60)]);
    assert_eq!((books.posted(ann).await, books.posted(bob).await), (99, 1));
    books.assert_proven().await;
}

#[tokio::test]
async fn a_month_without_a_partition_takes_nothing_and_keeps_no_answer() {
    let books = Books::new().await;
    let (ann, bob) = (books.wallet(100).await, books.wallet(0).await);
    let pool = with_clock(&books).await;
    set(
        &books,
        "update fake.clock set at = now() + interval '14 months'",
    )
    .await;
    let wish = || [order("k", ann, bob, usd(60))];
    let error = ledger::post(&pool, &wish())
        .await
        .expect_err("nowhere to write");
    assert!(!pg::outage(&error), "nobody should just try again: {error}");
    assert_eq!(books.posted(ann).await, 100);

    ledger::make_partitions(books.pool(), 15)
        .await
        .expect("partitions");
    let outcome = ledger::post(&pool, &wish())
        .await
        .expect("posted")
        .remove(0);
    assert!(matches!(outcome, Outcome::Fresh(_)));
    assert_eq!(status(&outcome), 201);
    assert_eq!(books.posted(ann).await, 40);
    books.assert_proven().await;
}
