//! Trying, taking and renewing what `register/store.rs` keeps.

use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{key::Tag, register::TRIES_PER_CODE};

/// Takes one try off a flow that still has some, and gives the hash of its code to compare with:
/// none inside when the address was known and there is no code.
pub(super) async fn spend_try(
    pool: &PgPool,
    flow_id: Uuid,
    now: OffsetDateTime,
) -> Result<Option<Option<Vec<u8>>>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"
        update users.registration set tries_left = tries_left - 1
        where flow_id = $1 and tries_left > 0 and expires_at > $2
        returning code_hash
        "#,
        flow_id,
        now,
    )
    .fetch_optional(pool)
    .await
}

/// What becomes of a wish when its address is proven.
pub(super) struct Wish {
    pub(super) email: String,
    pub(super) password_hash: String,
}

/// Takes a wish out, if its code is still the one that was compared.
pub(super) async fn take(
    tx: &mut PgConnection,
    flow_id: Uuid,
    code_hash: Option<&[u8]>,
) -> Result<Option<Wish>, sqlx::Error> {
    sqlx::query_as!(
        Wish,
        r#"
        delete from users.registration
        where flow_id = $1 and code_hash = $2
        returning email, password_hash
        "#,
        flow_id,
        code_hash,
    )
    .fetch_optional(tx)
    .await
}

/// Ends the other wishes for an address that has found its owner. One that is being tried at this
/// moment is left: it will find the address taken.
pub(super) async fn end_others(tx: &mut PgConnection, email: &str) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"
        delete from users.registration where flow_id in (
            select flow_id from users.registration where email = $1 for update skip locked
        )
        "#,
        email,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Where the mail about a renewed code goes.
pub(super) struct Addressee {
    pub(super) email: String,
    /// False when the address is known, so that its owner is to be told, and sent no code.
    pub(super) has_code: bool,
}

/// Whose flow this is.
pub(super) async fn addressee(
    tx: &mut PgConnection,
    flow_id: Uuid,
) -> Result<Option<Addressee>, sqlx::Error> {
    sqlx::query_as!(
        Addressee,
        r#"
        select email, code_hash is not null as "has_code!"
        from users.registration where flow_id = $1
        "#,
        flow_id,
    )
    .fetch_optional(tx)
    .await
}

/// Gives a flow a new code with new tries; `false` when it has ended meanwhile.
pub(super) async fn renew(
    tx: &mut PgConnection,
    flow_id: Uuid,
    code_hash: &Tag,
    expires_at: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    let renewed = sqlx::query!(
        r#"
        update users.registration set
            code_hash = case when code_hash is null then null else $2::bytea end,
            tries_left = $3,
            expires_at = $4
        where flow_id = $1
        "#,
        flow_id,
        &code_hash[..],
        TRIES_PER_CODE,
        expires_at,
    )
    .execute(tx)
    .await?;
    Ok(renewed.rows_affected() == 1)
}
