//! Telling an account's owner what has happened to it. They may not be the one who did it, so this
//! is sent whatever they prefer, in the commit of what it tells of.

use events::{Notice, SecurityNotice};
use sqlx::PgConnection;
use time::OffsetDateTime;

use crate::{SCHEMA, account::Account, contact::Contact};

/// Tells the owner, by mail where they have an address of mail and by text message where not. `about`
/// are a few words on the case. Somebody with neither is told when they look at their own record.
pub(crate) async fn tell(
    tx: &mut PgConnection,
    account: &Account,
    what: Notice,
    about: Option<&str>,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    match account.contact() {
        Some(to) => tell_at(tx, account, &to, what, about, None, now).await,
        None => Ok(()),
    }
}

/// Tells the owner at a contact that may not be the account's any longer, and where it can be undone.
pub(crate) async fn tell_at(
    tx: &mut PgConnection,
    account: &Account,
    to: &Contact,
    what: Notice,
    about: Option<&str>,
    undo: Option<String>,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    let notice = SecurityNotice {
        user_id: account.id,
        to: to.as_str().to_owned(),
        channel: to.channel(),
        what,
        at: now,
        about: about.map(str::to_owned),
        undo,
    };
    pg::outbox::publish(tx, SCHEMA, &notice).await?;
    Ok(())
}
