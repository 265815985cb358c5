//! Limits on everything, and what an outage looks like.

use std::time::{Duration, Instant};

use pg::{Settings, Url, lazy, outage, wait, within};
use sqlx::AssertSqlSafe;

use crate::stage::Stage;

fn settings() -> Settings {
    Settings {
        max_connections: 2,
        acquire_timeout: Duration::from_millis(200),
        statement_timeout: Duration::from_millis(200),
        lock_timeout: Duration::from_millis(100),
        pgbouncer: false,
    }
}

#[tokio::test]
async fn a_statement_and_a_lock_have_their_limits() {
    let database = pg::testing::database(&[]).await;
    let pool = lazy(&Url::parse(&database.url).unwrap(), &settings());
    let code = |error: sqlx::Error| {
        assert!(outage(&error), "{error}");
        error
            .into_database_error()
            .unwrap()
            .code()
            .unwrap()
            .into_owned()
    };
    let slow = sqlx::query("select pg_sleep(5)")
        .execute(&pool)
        .await
        .unwrap_err();
    assert_eq!(code(slow), "57014");
    sqlx::query("create table t (x int)")
        .execute(&pool)
        .await
        .unwrap();
    let mut holder = database.pool.begin().await.unwrap();
    sqlx::query("lock table t")
        .execute(&mut *holder)
        .await
        .unwrap();
    let blocked = sqlx::query("select * from t")
        .execute(&pool)
        .await
        .unwrap_err();
    assert_eq!(code(blocked), "55P03");
}

#[tokio::test]
async fn a_full_pool_says_so_in_time() {
    let database = pg::testing::database(&[]).await;
    let pool = lazy(&Url::parse(&database.url).unwrap(), &settings());
    let _all = (pool.acquire().await.unwrap(), pool.acquire().await.unwrap());
    let began = Instant::now();
    let error = pool.acquire().await.unwrap_err();
    assert!(
        outage(&error) && began.elapsed() < Duration::from_secs(2),
        "{error}"
    );
}

#[tokio::test]
async fn a_connection_killed_in_the_pool_is_not_met_by_a_statement() {
    let database = pg::testing::database(&[]).await;
    let pool = lazy(&Url::parse(&database.url).unwrap(), &settings());
    let pid: i32 = sqlx::query_scalar("select pg_backend_pid()")
        .fetch_one(&pool)
        .await
        .unwrap();
    sqlx::query("select pg_terminate_backend($1, 1000)")
        .bind(pid)
        .execute(&database.pool)
        .await
        .unwrap();
    // What was used within the last second is taken without a ping.
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    let other: i32 = sqlx::query_scalar("select pg_backend_pid()")
        .fetch_one(&pool)
        .await
        .unwrap();
    assert_ne!(pid, other);
}

#[tokio::test]
async fn a_query_given_up_costs_the_pool_no_connection() {
    let stage = Stage::new().await;
    let mut silence = stage.pool().begin().await.unwrap();
    sqlx::query("lock table hall.guest")
        .execute(&mut *silence)
        .await
        .unwrap();
    let pool = stage.patient_pool(1);
    let stuck = sqlx::query("select from hall.guest").execute(&pool);
    let error = within(Duration::from_millis(100), stuck).await.unwrap_err();
    assert!(outage(&error), "{error}");
    // The only connection has been replaced, though it is still waiting for its answer.
    sqlx::query("select 1").execute(&pool).await.unwrap();
}

#[tokio::test]
async fn what_a_second_try_may_mend_is_an_outage_and_a_wrong_statement_is_none() {
    let database = pg::testing::database(&[]).await;
    for (code, expected) in [
        ("25P03", true),
        ("40001", true),
        ("40P01", true),
        ("53300", true),
        ("57P01", true),
        ("23505", false),
        ("25P02", false),
        ("42601", false),
    ] {
        let raise = format!("do $$ begin raise sqlstate '{code}'; end $$");
        let error = sqlx::raw_sql(AssertSqlSafe(raise))
            .execute(&database.pool)
            .await
            .unwrap_err();
        assert_eq!(outage(&error), expected, "{code}: {error}");
    }
}

#[tokio::test]
async fn nobody_at_home_is_told_within_the_patience() {
    // Port 1: nothing listens there.
    let pool = lazy(
        &Url::parse("postgres://nobody@127.0.0.1:1/none").unwrap(),
        &settings(),
    );
    let began = Instant::now();
    let error = wait(&pool, Duration::from_millis(600)).await.unwrap_err();
    assert!(
        outage(&error) && error.to_string().contains("refused"),
        "{error}"
    );
    assert!(began.elapsed() < Duration::from_secs(2));
    assert!(!pg::answers(&pool).await);
}

#[test]
fn a_url_is_checked_and_keeps_its_password_to_itself() {
    let url = Url::parse("postgres://ann:hush@db.example:5433/shop").unwrap();
    assert_eq!(
        format!("{url} {url:?}"),
        "db.example:5433/shop db.example:5433/shop"
    );
    for odd in ["", "mysql://x", "hush", "postgres://ann:hush@:x/"] {
        let error = Url::parse(odd).unwrap_err().to_string();
        assert!(!error.contains("hush"), "{error}");
    }
}
