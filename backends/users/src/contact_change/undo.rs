//! The way back. It undoes the change and every later one, ends every session, takes back what was
//! enrolled since (second factors, passkeys, linked accounts, keys), calls off an erasure that was asked
//! for, and has a code sent to choose another password with: whoever changed the contact may have done
//! all of that, and may know the old password.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use events::Purpose;
use serde_json::json;
use sha2::{Digest, Sha256};
use sqlx::PgConnection;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::{ContactError, store};
use crate::{
    App, account,
    audit::{self, Act},
    challenge::{self, Sends, Wanted},
    contact::Contact,
    key::Tag,
    revocation::{self, Revoked},
    session::{self, End},
};

/// How long a change can be undone: over a weekend.
const UNDOABLE: Duration = Duration::days(3);

/// What the link of a notice carries. It has no `Debug`.
pub(crate) struct UndoToken(String);

impl UndoToken {
    /// What a link brought, whatever it is.
    pub(crate) fn sent(text: &str) -> Self {
        Self(text.to_owned())
    }

    fn random() -> Result<Self, getrandom::Error> {
        let mut bits = [0; 32];
        getrandom::fill(&mut bits)?;
        Ok(Self(BASE64_URL_SAFE_NO_PAD.encode(bits)))
    }

    fn hash(&self) -> Tag {
        Sha256::digest(&self.0).into()
    }
}

/// Lets a change be undone; gives the path that the notice names.
pub(super) async fn allow(
    tx: &mut PgConnection,
    account_id: Uuid,
    new: &Contact,
    previous: Option<&Contact>,
    now: OffsetDateTime,
) -> Result<String, ContactError> {
    let token = UndoToken::random()?;
    let until = now + UNDOABLE;
    store::allow_undo(tx, &token.hash(), account_id, new, previous, now, until).await?;
    Ok(format!("/auth/undo?token={}", token.0))
}

/// Undoes a change of contact and what came after it.
pub(crate) async fn undo(app: &App, token: &UndoToken) -> Result<(), ContactError> {
    let now = app.clock.now();
    let mut tx = app.pool.begin().await?;
    let change = store::change_of(&mut tx, &token.hash(), now).await?;
    let (account_id, first, since) = change.ok_or(ContactError::InvalidLink)?;
    account::store::hold(&mut tx, account_id).await?;
    let undone = store::take_undos(&mut tx, account_id, first).await?;
    // Another link was faster.
    if undone.is_empty() {
        return Err(ContactError::InvalidLink);
    }
    // The newest first, so that of two changes of one kind the older one has the last word.
    for (channel, previous) in undone {
        let is_back = match previous {
            Some(previous) => store::exchange(&mut tx, account_id, &previous).await?,
            None => store::drop(&mut tx, account_id, &channel).await?,
        };
        if !is_back {
            return Err(ContactError::InvalidLink);
        }
    }
    store::reopen(&mut tx, account_id).await?;
    let mut revoked = session::end_all(&mut tx, account_id, None, End::Contact, now).await?;
    revoked.push(Revoked::Subject(account_id));
    let keys = store::forget_since(&mut tx, account_id, since).await?;
    revoked.extend(keys.into_iter().map(Revoked::ApiKey));
    audit::record(&mut tx, now, Act::ContactRestored, account_id, None).await?;
    let account = account::store::by_id(&mut *tx, account_id).await?;
    revocation::revoke(&mut tx, &revoked, now).await?;
    tx.commit().await?;
    // In a commit of its own: whoever pays for a message holds no account.
    if let Some(to) = account.and_then(|account| account.contact()) {
        let mut tx = app.pool.begin().await?;
        let wanted = Wanted {
            purpose: Purpose::ResetPassword,
            to: &to,
            account_id: Some(account_id),
            bound_to: None,
            sends: Sends::Code,
            state: json!({}),
        };
        challenge::issue(app, &mut tx, &wanted, now).await?;
        tx.commit().await?;
    }
    Ok(())
}
