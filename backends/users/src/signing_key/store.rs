//! Signing keys as they lie in the database.

use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;

use super::schedule::Times;

/// A key, its private half sealed.
pub(super) struct SealedKey {
    pub(super) kid: String,
    pub(super) sealed: Vec<u8>,
    pub(super) times: Times,
}

/// All keys, the oldest first. There are never many.
pub(super) async fn all(pool: &PgPool) -> Result<Vec<SealedKey>, sqlx::Error> {
    read(&mut *pool.acquire().await?).await
}

/// All keys, and nobody else changes them until the commit; who only reads does not wait.
pub(super) async fn lock_all(tx: &mut PgConnection) -> Result<Vec<SealedKey>, sqlx::Error> {
    // The table and not its rows: at the first start there is none, and two replicas would each
    // make the first.
    sqlx::query!(r#"lock table users.signing_key in share row exclusive mode"#)
        .execute(&mut *tx)
        .await?;
    read(tx).await
}

async fn read(connection: &mut PgConnection) -> Result<Vec<SealedKey>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"
        select kid, sealed, signs_from, signs_until, published_until
        from users.signing_key order by signs_from limit 100
        "#
    )
    .fetch_all(connection)
    .await?;
    let keys = rows.into_iter().map(|row| SealedKey {
        kid: row.kid,
        sealed: row.sealed,
        times: Times {
            signs_from: row.signs_from,
            signs_until: row.signs_until,
            published_until: row.published_until,
        },
    });
    Ok(keys.collect())
}

/// Adds a key.
pub(super) async fn add(
    tx: &mut PgConnection,
    key: &SealedKey,
    x: &str,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"
        insert into users.signing_key
            (kid, sealed, x, created_at, signs_from, signs_until, published_until)
        values ($1, $2, $3, $4, $5, $6, $7)
        "#,
        key.kid,
        key.sealed,
        x,
        now,
        key.times.signs_from,
        key.times.signs_until,
        key.times.published_until,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Sets when a key signs, and until when it is published.
pub(super) async fn set_times(
    tx: &mut PgConnection,
    kid: &str,
    times: &Times,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"
        update users.signing_key set signs_from = $2, signs_until = $3, published_until = $4
        where kid = $1
        "#,
        kid,
        times.signs_from,
        times.signs_until,
        times.published_until,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Throws a key away.
pub(super) async fn remove(tx: &mut PgConnection, kid: &str) -> Result<(), sqlx::Error> {
    sqlx::query!(r#"delete from users.signing_key where kid = $1"#, kid)
        .execute(tx)
        .await?;
    Ok(())
}
