//! Whether a schema is what the program expects.

use std::borrow::Cow;

use pg::migrate::{run, schema, state};
use sqlx::SqlSafeStr;
use sqlx::migrate::{Migration, MigrationType, Migrator};

fn migrator(texts: &[&'static str]) -> Migrator {
    let migrations = texts
        .iter()
        .zip(1..)
        .map(|(text, version)| {
            let sql = text.into_sql_str();
            Migration::new(
                version,
                Cow::Borrowed("step"),
                MigrationType::Simple,
                sql,
                false,
            )
        })
        .collect();
    let mut migrator = Migrator::with_migrations(migrations);
    migrator.create_schema("hall");
    migrator.dangerous_set_table_name("hall._sqlx_migrations");
    migrator
}

#[tokio::test]
async fn what_is_missing_is_applied_once() {
    let database = pg::testing::database(&[]).await;
    let one = migrator(&["create table hall.a (x int)"]);
    assert_eq!(schema(&one), "hall");
    assert_eq!(state(&database.pool, &one).await.unwrap().missing, [1]);
    assert_eq!(run(&database.pool, &one).await.unwrap(), 1);
    assert_eq!(run(&database.pool, &one).await.unwrap(), 0);
    assert!(state(&database.pool, &one).await.unwrap().is_current());

    let two = migrator(&["create table hall.a (x int)", "create table hall.b (x int)"]);
    assert_eq!(state(&database.pool, &two).await.unwrap().missing, [2]);
    assert_eq!(run(&database.pool, &two).await.unwrap(), 1);
    // A process of the release before still runs beside it.
    assert!(state(&database.pool, &one).await.unwrap().is_current());
}

#[tokio::test]
async fn a_text_changed_after_it_was_applied_is_told() {
    let database = pg::testing::database(&[]).await;
    run(&database.pool, &migrator(&["create table hall.a (x int)"]))
        .await
        .unwrap();
    let changed = migrator(&["create table hall.a (x bigint)"]);
    assert_eq!(state(&database.pool, &changed).await.unwrap().changed, [1]);
    assert!(run(&database.pool, &changed).await.is_err());
}

#[tokio::test]
async fn a_test_database_is_its_own_and_goes() {
    let hall = migrator(&["create table hall.a (x int)"]);
    let hall = [&hall];
    let (one, two) = tokio::join!(pg::testing::database(&hall), pg::testing::database(&hall));
    sqlx::query("insert into hall.a values (1)")
        .execute(&one.pool)
        .await
        .unwrap();
    let count: i64 = sqlx::query_scalar("select count(*) from hall.a")
        .fetch_one(&two.pool)
        .await
        .unwrap();
    assert_eq!(count, 0);
    let name: String = sqlx::query_scalar("select current_database()")
        .fetch_one(&one.pool)
        .await
        .unwrap();
    drop(one);
    let there: bool =
        sqlx::query_scalar("select exists (select from pg_database where datname = $1)")
            .bind(name)
            .fetch_one(&two.pool)
            .await
            .unwrap();
    assert!(!there);
}
