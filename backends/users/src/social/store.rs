//! Identities, and what is under way with providers.

use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{
    Back, Kept, browser::Token, ceremony::Started, identities::Identity, provider::Arrival,
    provider::ProviderName,
};

/// Keeps what was begun: for a browser, or for whoever brings a ticket.
pub(super) async fn keep_start(
    tx: &mut PgConnection,
    hash: &[u8; 32],
    provider: ProviderName,
    browser_hash: Option<&[u8; 32]>,
    started: &Started,
    expires_at: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    let back = started.back.as_ref();
    sqlx::query!(
        r#"
        insert into users.social_start
            (hash, provider, browser_hash, return_to, challenge, account_id, expires_at)
        values ($1, $2, $3, $4, $5, $6, $7)
        "#,
        &hash[..],
        provider.as_str(),
        browser_hash.map(|hash| &hash[..]),
        back.map(|back| &*back.return_to),
        back.map(|back| &back.challenge.bytes()[..]),
        started.account_id,
        expires_at,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Takes out what was begun for this provider and this browser, or by a ticket where there is none.
pub(super) async fn take_start(
    tx: &mut PgConnection,
    hash: &[u8; 32],
    provider: ProviderName,
    browser_hash: Option<&[u8; 32]>,
    now: OffsetDateTime,
) -> Result<Option<Started>, sqlx::Error> {
    let taken = sqlx::query!(
        r#"
        delete from users.social_start
        where hash = $1 and provider = $2 and browser_hash is not distinct from $3::bytea
            and expires_at > $4
        returning return_to, challenge, account_id
        "#,
        &hash[..],
        provider.as_str(),
        browser_hash.map(|hash| &hash[..]),
        now,
    )
    .fetch_optional(tx)
    .await?;
    Ok(taken.map(|taken| Started {
        back: taken
            .return_to
            .zip(taken.challenge.as_deref().and_then(Token::from_bytes))
            .map(|(return_to, challenge)| Back {
                return_to,
                challenge,
            }),
        account_id: taken.account_id,
    }))
}

/// What a provider has vouched for.
pub(super) struct Proof {
    pub(super) purpose: String,
    pub(super) challenge: Option<Vec<u8>>,
    pub(super) account_id: Option<Uuid>,
    /// Sealed.
    pub(super) arrival: Vec<u8>,
}

/// Keeps a proof under the hash of its code.
pub(super) async fn keep_proof(
    tx: &mut PgConnection,
    hash: &[u8; 32],
    proof: &Proof,
    expires_at: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"
        insert into users.social_proof (hash, purpose, challenge, account_id, arrival, expires_at)
        values ($1, $2, $3, $4, $5, $6)
        "#,
        &hash[..],
        proof.purpose,
        proof.challenge,
        proof.account_id,
        proof.arrival,
        expires_at,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Takes a proof out.
pub(super) async fn take_proof(
    tx: &mut PgConnection,
    hash: &[u8; 32],
    now: OffsetDateTime,
) -> Result<Option<Proof>, sqlx::Error> {
    sqlx::query_as!(
        Proof,
        r#"
        delete from users.social_proof where hash = $1 and expires_at > $2
        returning purpose, challenge, account_id, arrival
        "#,
        &hash[..],
        now,
    )
    .fetch_optional(tx)
    .await
}

/// Keeps a nonce.
pub(super) async fn keep_nonce(
    pool: &PgPool,
    hash: &[u8; 32],
    provider: ProviderName,
    expires_at: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"insert into users.social_nonce (hash, provider, expires_at) values ($1, $2, $3)"#,
        &hash[..],
        provider.as_str(),
        expires_at,
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Takes a nonce out, or tells that there is none.
pub(super) async fn take_nonce(
    pool: &PgPool,
    hash: &[u8; 32],
    provider: ProviderName,
    now: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    let taken = sqlx::query!(
        r#"delete from users.social_nonce where hash = $1 and provider = $2 and expires_at > $3"#,
        &hash[..],
        provider.as_str(),
        now,
    )
    .execute(pool)
    .await?;
    Ok(taken.rows_affected() == 1)
}

/// Whose account an identity opens.
pub(super) async fn owner(
    tx: &mut PgConnection,
    arrival: &Arrival,
) -> Result<Option<Uuid>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select account_id from users.identity where issuer = $1 and subject = $2"#,
        arrival.issuer,
        arrival.subject,
    )
    .fetch_optional(tx)
    .await
}

/// Notes that an identity was used; false if it opens that account no more. A permission to give back is kept if there
/// was none yet.
pub(super) async fn use_identity(
    tx: &mut PgConnection,
    owner: Uuid,
    arrival: &Arrival,
    refresh_token: Option<Kept<'_>>,
    now: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    let (refresh_token, client_id) = refresh_token.unzip();
    let used = sqlx::query!(
        r#"
        update users.identity set
            last_used_at = $3,
            refresh_token = coalesce(refresh_token, $4::bytea),
            client_id = coalesce(client_id, $5::text)
        where issuer = $1 and subject = $2 and account_id = $6
        "#,
        arrival.issuer,
        arrival.subject,
        now,
        refresh_token,
        client_id,
        owner,
    )
    .execute(tx)
    .await?;
    Ok(used.rows_affected() == 1)
}

/// Links an identity, or tells that it is linked already.
pub(super) async fn add_identity(
    tx: &mut PgConnection,
    id: Uuid,
    account_id: Uuid,
    arrival: &Arrival,
    refresh_token: Option<Kept<'_>>,
    now: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    let (refresh_token, client_id) = refresh_token.unzip();
    let added = sqlx::query!(
        r#"
        insert into users.identity
            (id, account_id, provider, issuer, subject, email, refresh_token, client_id, linked_at)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
        on conflict on constraint identity_issuer_subject_key do nothing
        "#,
        id,
        account_id,
        arrival.provider.as_str(),
        arrival.issuer,
        arrival.subject,
        arrival.email,
        refresh_token,
        client_id,
        now,
    )
    .execute(tx)
    .await?;
    Ok(added.rows_affected() == 1)
}

/// How many identities an account has.
pub(super) async fn count(tx: &mut PgConnection, account_id: Uuid) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select count(*) as "count!" from users.identity where account_id = $1"#,
        account_id,
    )
    .fetch_one(tx)
    .await
}

/// The identities of an account, the oldest first.
pub(super) async fn identities(
    pool: &PgPool,
    account_id: Uuid,
    limit: i64,
) -> Result<Vec<Identity>, sqlx::Error> {
    sqlx::query_as!(
        Identity,
        r#"
        select id, provider as "provider: ProviderName", email, linked_at, last_used_at
        from users.identity where account_id = $1
        order by id limit $2
        "#,
        account_id,
        limit,
    )
    .fetch_all(pool)
    .await
}

/// Removes an identity of an account, and tells whose it was.
pub(super) async fn remove_identity(
    tx: &mut PgConnection,
    account_id: Uuid,
    id: Uuid,
) -> Result<Option<ProviderName>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"
        delete from users.identity where account_id = $1 and id = $2
        returning provider as "provider: ProviderName"
        "#,
        account_id,
        id,
    )
    .fetch_optional(tx)
    .await
}

/// A permission that is to be given back.
pub(super) struct Farewell {
    pub(super) id: Uuid,
    pub(super) provider: String,
    /// Sealed.
    pub(super) refresh_token: Vec<u8>,
    pub(super) client_id: String,
    pub(super) tries_left: i16,
}

/// Takes what is due, each with one try less and not due again before `next_try_at`.
pub(super) async fn due_farewells(
    pool: &PgPool,
    now: OffsetDateTime,
    next_try_at: OffsetDateTime,
    batch: i64,
) -> Result<Vec<Farewell>, sqlx::Error> {
    sqlx::query_as!(
        Farewell,
        r#"
        update users.identity_farewell set next_try_at = $2, tries_left = tries_left - 1
        where id in (
            select id from users.identity_farewell
            where next_try_at <= $1
            order by next_try_at limit $3
            for update skip locked
        )
        returning id, provider, refresh_token, client_id, tries_left
        "#,
        now,
        next_try_at,
        batch,
    )
    .fetch_all(pool)
    .await
}

/// Forgets a permission.
pub(super) async fn end_farewell(pool: &PgPool, id: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query!(r#"delete from users.identity_farewell where id = $1"#, id)
        .execute(pool)
        .await?;
    Ok(())
}

/// Deletes a batch of each thing that nobody came back for, and tells how large the largest was.
pub(crate) async fn sweep(
    pool: &PgPool,
    now: OffsetDateTime,
    batch: i64,
) -> Result<u64, sqlx::Error> {
    let swept = sqlx::query_scalar!(
        r#"
        with start as (
            delete from users.social_start where hash in (
                select hash from users.social_start where expires_at <= $1
                order by expires_at limit $2 for update skip locked
            ) returning 1
        ), proof as (
            delete from users.social_proof where hash in (
                select hash from users.social_proof where expires_at <= $1
                order by expires_at limit $2 for update skip locked
            ) returning 1
        ), nonce as (
            delete from users.social_nonce where hash in (
                select hash from users.social_nonce where expires_at <= $1
                order by expires_at limit $2 for update skip locked
            ) returning 1
        )
        select greatest(
            (select count(*) from start), (select count(*) from proof), (select count(*) from nonce)
        ) as "most!"
        "#,
        now,
        batch,
    )
    .fetch_one(pool)
    .await?;
    Ok(swept.unsigned_abs())
}
