//! Flows that wait for their code.

use events::Purpose;
use serde_json::Value;
use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Drawn, Proven, Sends, Wanted};
use crate::contact::Contact;

/// A flow that can still be proven.
pub(super) struct Row {
    pub(super) purpose: Purpose,
    channel: String,
    contact: String,
    account_id: Option<Uuid>,
    bound_to: Option<String>,
    pub(super) code_hash: Option<Vec<u8>>,
    pub(super) link_hash: Option<Vec<u8>>,
    state: Value,
}

impl Row {
    pub(super) fn proven(self, flow_id: Uuid, by_link: bool) -> Option<Proven> {
        Some(Proven {
            flow_id,
            contact: Contact::kept(&self.channel, &self.contact)?,
            account_id: self.account_id,
            bound_to: self.bound_to,
            state: self.state,
            by_link,
            code_hash: self.code_hash?,
        })
    }
}

/// Where the message about a renewed code goes.
pub(super) struct Addressee {
    pub(super) contact: Contact,
    pub(super) purpose: Purpose,
    pub(super) sends: Sends,
}

/// A purpose as the database calls it: as events do.
fn name(purpose: Purpose) -> String {
    let name = serde_json::to_value(purpose).ok();
    name.and_then(|name| name.as_str().map(str::to_owned))
        .expect("a purpose is a word")
}

fn read(name: String) -> Result<Purpose, sqlx::Error> {
    serde_json::from_value(Value::String(name)).map_err(|error| sqlx::Error::Decode(error.into()))
}

/// Keeps a flow beside the others for the same contact.
pub(super) async fn keep(
    tx: &mut PgConnection,
    flow_id: Uuid,
    wanted: &Wanted<'_>,
    drawn: &Drawn,
    tries_left: i16,
    expires_at: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"
        insert into users.challenge
            (flow_id, purpose, channel, contact, account_id, bound_to, sends,
             code_hash, link_hash, tries_left, state, expires_at)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
        "#,
        flow_id,
        name(wanted.purpose),
        wanted.to.channel_name(),
        wanted.to.as_str(),
        wanted.account_id,
        wanted.bound_to,
        wanted.sends.name(),
        drawn.code_hash.as_ref().map(|hash| &hash[..]),
        drawn.link_hash.as_ref().map(|hash| &hash[..]),
        tries_left,
        wanted.state,
        expires_at,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Takes one try off a flow that still has some, and gives what it is compared with.
pub(super) async fn spend_try(
    pool: &PgPool,
    flow_id: Uuid,
    now: OffsetDateTime,
) -> Result<Option<Row>, sqlx::Error> {
    let row = sqlx::query!(
        r#"
        update users.challenge set tries_left = tries_left - 1
        where flow_id = $1 and tries_left > 0 and expires_at > $2
        returning purpose, channel, contact, account_id, bound_to, code_hash, link_hash, state
        "#,
        flow_id,
        now,
    )
    .fetch_optional(pool)
    .await?;
    row.map(|row| {
        Ok(Row {
            purpose: read(row.purpose)?,
            channel: row.channel,
            contact: row.contact,
            account_id: row.account_id,
            bound_to: row.bound_to,
            code_hash: row.code_hash,
            link_hash: row.link_hash,
            state: row.state,
        })
    })
    .transpose()
}

/// Gives what a flow's link is compared with.
pub(super) async fn look(
    pool: &PgPool,
    flow_id: Uuid,
    now: OffsetDateTime,
) -> Result<Option<Row>, sqlx::Error> {
    let row = sqlx::query!(
        r#"
        select purpose, channel, contact, account_id, bound_to, code_hash, link_hash, state
        from users.challenge where flow_id = $1 and expires_at > $2
        "#,
        flow_id,
        now,
    )
    .fetch_optional(pool)
    .await?;
    row.map(|row| {
        Ok(Row {
            purpose: read(row.purpose)?,
            channel: row.channel,
            contact: row.contact,
            account_id: row.account_id,
            bound_to: row.bound_to,
            code_hash: row.code_hash,
            link_hash: row.link_hash,
            state: row.state,
        })
    })
    .transpose()
}

/// Ends a proven flow. False when somebody was faster, or its code is another one by now.
pub(super) async fn take(tx: &mut PgConnection, proven: &Proven) -> Result<bool, sqlx::Error> {
    let taken = sqlx::query!(
        r#"delete from users.challenge where flow_id = $1 and code_hash = $2"#,
        proven.flow_id,
        proven.code_hash,
    )
    .execute(tx)
    .await?;
    Ok(taken.rows_affected() == 1)
}

/// Ends the other wishes for a contact that has found its owner. One that is being tried at this
/// moment is left: it will find the contact taken.
pub(crate) async fn end_others(tx: &mut PgConnection, contact: &str) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"
        delete from users.challenge where flow_id in (
            select flow_id from users.challenge
            where contact = $1 and account_id is null
            for update skip locked
        )
        "#,
        contact,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Whose flow this is.
pub(super) async fn addressee(
    tx: &mut PgConnection,
    flow_id: Uuid,
) -> Result<Option<Addressee>, sqlx::Error> {
    let row = sqlx::query!(
        r#"select channel, contact, purpose, sends from users.challenge where flow_id = $1"#,
        flow_id,
    )
    .fetch_optional(tx)
    .await?;
    let Some(row) = row else {
        return Ok(None);
    };
    let purpose = read(row.purpose)?;
    let contact = Contact::kept(&row.channel, &row.contact);
    Ok(contact.map(|contact| Addressee {
        contact,
        purpose,
        sends: Sends::kept(&row.sends),
    }))
}

/// Gives a flow a new code with new tries; `false` when it has ended meanwhile.
pub(super) async fn renew(
    tx: &mut PgConnection,
    flow_id: Uuid,
    drawn: &Drawn,
    tries: i16,
    expires_at: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    let renewed = sqlx::query!(
        r#"
        update users.challenge set code_hash = $2, link_hash = $3, tries_left = $4, expires_at = $5
        where flow_id = $1 and sends = $6
        "#,
        flow_id,
        drawn.code_hash.as_ref().map(|hash| &hash[..]),
        drawn.link_hash.as_ref().map(|hash| &hash[..]),
        tries,
        expires_at,
        drawn.sends.name(),
    )
    .execute(tx)
    .await?;
    Ok(renewed.rows_affected() == 1)
}

/// Deletes flows whose last code expired at `before` or earlier.
pub(crate) async fn sweep(
    pool: &PgPool,
    before: OffsetDateTime,
    batch: i64,
) -> Result<u64, sqlx::Error> {
    let swept = sqlx::query!(
        r#"
        delete from users.challenge where flow_id in (
            select flow_id from users.challenge
            where expires_at <= $1
            order by expires_at limit $2
            for update skip locked
        )
        "#,
        before,
        batch,
    )
    .execute(pool)
    .await?;
    Ok(swept.rows_affected())
}
