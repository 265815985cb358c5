//! What a transfer leaves behind, and that it stays.

use ledger::{Code, Currency, Kind, Refusal};
use uuid::Uuid;

use crate::books::{Books, euro, order, refused, status, usd};

#[tokio::test]
async fn one_row_carries_both_legs_and_both_balances_after() {
    let books = Books::new().await;
    let (ann, bob) = (books.wallet(1_000).await, books.wallet(50).await);
    let outcome = books
        .post(&[order("k", ann, bob, usd(300))])
        .await
        .remove(0);
    assert_eq!(status(&outcome), 201);

    let row: (i64, i64, i64, i64, i64, i16, Option<Uuid>, bool) = sqlx::query_as(
        "select debit_acct, credit_acct, amount, debit_after, credit_after, code, actor, entry_id = id
         from ledger.journal order by seq desc limit 1",
    )
    .fetch_one(books.pool())
    .await
    .expect("the row");
    assert_eq!(
        row,
        (
            ann.0,
            bob.0,
            300,
            700,
            350,
            Code::Transfer.number(),
            Some(Uuid::nil()),
            true
        )
    );
    assert_eq!(
        (books.posted(ann).await, books.posted(bob).await),
        (700, 350)
    );
    books.assert_proven().await;
}

#[tokio::test]
async fn a_refusal_leaves_nothing_and_its_neighbours_in_the_batch_stand() {
    let books = Books::new().await;
    let (ann, bob) = (books.wallet(100).await, books.wallet(0).await);
    let eur = books.wallet_in(euro(), 100).await;
    let outcomes = books
        .post(&[
            order("1", ann, bob, usd(101)),
            order("2", ann, eur, usd(1)),
            order("3", ann, ann, usd(1)),
            order("4", ann, ledger::AccountId(i64::MAX), usd(1)),
            order("5", ann, bob, usd(100)),
        ])
        .await;
    let refusals = [
        Refusal::InsufficientFunds,
        Refusal::CurrencyMismatch,
        Refusal::SameAccount,
        Refusal::UnknownAccount,
    ];
    assert_eq!(outcomes[..4], refusals.map(refused));
    assert_eq!(status(&outcomes[4]), 201);
    assert_eq!(
        (
            books.posted(ann).await,
            books.posted(bob).await,
            books.posted(eur).await
        ),
        (0, 100, 100)
    );
    books.assert_proven().await;
}

#[tokio::test]
async fn a_balance_that_would_leave_its_range_is_refused_and_the_batch_is_unhurt() {
    let books = Books::new().await;
    let (ann, bob, cid) = (
        books.wallet(100).await,
        books.wallet(0).await,
        books.wallet(0).await,
    );
    sqlx::query("update ledger.account set posted = $1 where id = $2")
        .bind(ledger::Balance::LIMIT - 10)
        .bind(bob.0)
        .execute(books.pool())
        .await
        .expect("a very rich man");
    let outcomes = books
        .post(&[order("1", ann, bob, usd(11)), order("2", ann, cid, usd(11))])
        .await;
    assert_eq!(outcomes[0], refused(Refusal::OutOfRange));
    assert_eq!(status(&outcomes[1]), 201);
}

#[tokio::test]
async fn an_opening_entry_is_posted_once() {
    let books = Books::new().await;
    let wallet = books.wallet(500).await;
    let mut tx = books.pool().begin().await.expect("a transaction");
    assert!(
        !ledger::open_balance(&mut tx, wallet, usd(500))
            .await
            .expect("no second one")
    );
    tx.commit().await.expect("commit");
    assert_eq!(books.posted(wallet).await, 500);

    let mut conn = books.pool().acquire().await.expect("a connection");
    let equity = ledger::open_account(&mut conn, None, Currency::USD, Kind::Equity)
        .await
        .expect("equity");
    assert_eq!(books.posted(equity).await, -500);
    books.assert_proven().await;
}

#[tokio::test]
async fn an_account_is_opened_once_by_many() {
    let books = Books::new().await;
    let owner = Uuid::new_v4();
    let mut openers = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let pool = books.pool().clone();
        openers.spawn(async move {
            let mut conn = pool.acquire().await.expect("a connection");
            ledger::open_account(&mut conn, Some(owner), Currency::USD, Kind::Wallet)
                .await
                .expect("an account")
        });
    }
    let accounts = openers.join_all().await;
    assert!(
        accounts.iter().all(|account| *account == accounts[0]),
        "{accounts:?}"
    );
}

#[tokio::test]
async fn the_journal_only_grows() {
    let books = Books::new().await;
    books.wallet(1).await;
    for attempt in [
        "update ledger.journal set amount = 2",
        "delete from ledger.journal",
        "truncate ledger.journal",
        // A statement that names the partition does not fire the parent's trigger.
        "do $$ begin execute format('update %s set amount = 2', (select tableoid::regclass from ledger.journal limit 1)); end $$",
        "do $$ begin execute format('delete from %s', (select tableoid::regclass from ledger.journal limit 1)); end $$",
        "do $$ begin execute format('truncate %s', (select tableoid::regclass from ledger.journal limit 1)); end $$",
    ] {
        let error = books.meddle(attempt).await.expect_err(attempt);
        let constraint = error
            .as_database_error()
            .and_then(|error| error.constraint());
        assert_eq!(
            constraint,
            Some("journal_append_only"),
            "{attempt}: {error}"
        );
    }
    books.assert_proven().await;
}

#[tokio::test]
async fn a_role_that_may_only_add_can_post() {
    let books = Books::new().await;
    let (ann, bob) = (books.wallet(100).await, books.wallet(0).await);
    books
        .meddle(
            "do $$ begin create role ledger_it; exception when duplicate_object then null; end $$;
             grant usage on schema ledger to ledger_it;
             grant select, insert on ledger.journal to ledger_it;
             grant usage on sequence ledger.journal_seq to ledger_it;
             grant select, insert, update on ledger.account to ledger_it;
             grant select, insert, delete on ledger.idem to ledger_it;
             grant execute on function ledger.make_partitions(integer) to ledger_it;",
        )
        .await
        .expect("a role as the migration describes it");
    let options = books
        .pool()
        .connect_options()
        .as_ref()
        .clone()
        .options([("role", "ledger_it")]);
    let pool = sqlx::PgPool::connect_with(options)
        .await
        .expect("a pool of that role");

    let outcomes = ledger::post(&pool, &[order("k", ann, bob, usd(100))])
        .await
        .expect("posted");
    assert_eq!(status(&outcomes[0]), 201);
    assert!(ledger::make_partitions(&pool, 5).await.expect("partitions") >= 2);
    ledger::forget_answers(&pool, 30).await.expect("upkeep");
    let error = sqlx::query("delete from ledger.journal")
        .execute(&pool)
        .await
        .expect_err("not granted");
    assert_eq!(
        error
            .as_database_error()
            .and_then(|error| error.code())
            .as_deref(),
        Some("42501")
    );
    pool.close().await;
    books
        .meddle("drop owned by ledger_it")
        .await
        .expect("the role is forgotten here");
}

#[tokio::test]
async fn partitions_are_made_ahead_once() {
    let books = Books::new().await;
    // The template may be of an earlier month, so the first call may or may not make some.
    ledger::make_partitions(books.pool(), 3)
        .await
        .expect("these few");
    assert_eq!(
        ledger::make_partitions(books.pool(), 14)
            .await
            .expect("more"),
        11
    );
    assert_eq!(
        ledger::make_partitions(books.pool(), 14)
            .await
            .expect("again"),
        0
    );
    books.wallet(1).await;
}

/// What the planner makes of empty tables it would keep to when they are full.
#[tokio::test]
async fn a_batch_reads_no_table_whole() {
    let books = Books::new().await;
    let (ann, bob) = (books.wallet(1_000).await, books.wallet(0).await);
    let whole = async || {
        let sql = "select coalesce(sum(seq_scan), 0)::bigint from pg_stat_user_tables
            where schemaname = 'ledger' and (relname like 'idem%' or relname like 'journal%' or relname = 'account')";
        let scans: i64 = sqlx::query_scalar(sql)
            .fetch_one(books.pool())
            .await
            .expect("what was counted");
        scans
    };
    let before = whole().await;
    // A session tells what it has counted when it ends, at the latest.
    let pool = books.pool_with(&[]);
    for n in 0..20 {
        let orders: Vec<_> = (0..10)
            .map(|m| order(&format!("{n}/{m}"), ann, bob, usd(1)))
            .collect();
        ledger::post(&pool, &orders).await.expect("posted");
    }
    pool.close().await;
    assert_eq!(books.posted(bob).await, 200);
    for _ in 0..20 {
        assert_eq!(whole().await, before);
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}
