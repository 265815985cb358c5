//! Wishes for an account, while they wait for their code, and the mails that this costs.

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{MAIL_SHARE, MAILS_IN_A_ROW};
use crate::{email::Email, key::Tag};

/// What is kept of a wish.
pub(crate) struct Wish<'a> {
    pub(crate) flow_id: Uuid,
    pub(crate) email: &'a Email,
    pub(crate) password_hash: &'a str,
    /// None for a known address: no guess will fit.
    pub(crate) code_hash: Option<Tag>,
    pub(crate) tries_left: i16,
    pub(crate) expires_at: OffsetDateTime,
}

/// Keeps a wish beside the others for the same address.
pub(crate) async fn keep(tx: &mut PgConnection, wish: &Wish<'_>) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"
        insert into users.registration
            (flow_id, email, password_hash, code_hash, tries_left, expires_at)
        values ($1, $2, $3, $4, $5, $6)
        "#,
        wish.flow_id,
        wish.email.as_str(),
        wish.password_hash,
        wish.code_hash.as_ref().map(|hash| &hash[..]),
        wish.tries_left,
        wish.expires_at,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Takes one mail off what an address may be sent, or tells that there is none left.
pub(crate) async fn spend_mail(
    tx: &mut PgConnection,
    email: &str,
    now: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    let spent = sqlx::query!(
        r#"
        insert into users.mail_budget as budget (email, spent_until)
        values ($1, $2::timestamptz + make_interval(secs => $3))
        on conflict on constraint mail_budget_pkey do update
            set spent_until = greatest(budget.spent_until, $2) + make_interval(secs => $3)
            where budget.spent_until <= $4
        "#,
        email,
        now,
        MAIL_SHARE.as_seconds_f64(),
        now + MAIL_SHARE * (MAILS_IN_A_ROW - 1),
    )
    .execute(tx)
    .await?;
    Ok(spent.rows_affected() == 1)
}
