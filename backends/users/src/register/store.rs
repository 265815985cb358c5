//! Wishes for an account, while they wait for their code.

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{MAILS_PER_WINDOW, MAILS_WINDOW, TRIES_PER_CODE};
use crate::{email::Email, key::Tag};

/// What is kept of a wish.
pub(crate) struct Wish<'a> {
    pub(crate) flow_id: Uuid,
    pub(crate) email: &'a Email,
    pub(crate) password_hash: &'a str,
    /// None for a known address: no guess will fit.
    pub(crate) code_hash: Option<Tag>,
    pub(crate) expires_at: OffsetDateTime,
}

/// Keeps a wish in place of an earlier one for the same address, or tells that the address has had
/// its share of mails. Then nothing has changed.
pub(crate) async fn keep(
    tx: &mut PgConnection,
    wish: &Wish<'_>,
    now: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    let kept = sqlx::query!(
        r#"
        insert into users.registration as r
            (email, flow_id, password_hash, code_hash, tries_left, expires_at, mails_left, mails_refill_at)
        values ($1, $2, $3, $4, $5, $6, $7::smallint - 1, $8)
        on conflict on constraint registration_pkey do update set
            flow_id = excluded.flow_id,
            password_hash = excluded.password_hash,
            code_hash = excluded.code_hash,
            tries_left = excluded.tries_left,
            expires_at = excluded.expires_at,
            mails_left = case when r.mails_refill_at <= $9 then excluded.mails_left else r.mails_left - 1 end,
            mails_refill_at = case when r.mails_refill_at <= $9 then excluded.mails_refill_at else r.mails_refill_at end
        where r.mails_left > 0 or r.mails_refill_at <= $9
        "#,
        wish.email.as_str(),
        wish.flow_id,
        wish.password_hash,
        wish.code_hash.as_ref().map(|hash| &hash[..]),
        TRIES_PER_CODE,
        wish.expires_at,
        MAILS_PER_WINDOW,
        now + MAILS_WINDOW,
        now,
    )
    .execute(tx)
    .await?;
    Ok(kept.rows_affected() == 1)
}
