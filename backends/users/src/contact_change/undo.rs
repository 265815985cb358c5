//! The way back. It restores the contact, ends every session, and has a code sent to choose another
//! password with: whoever changed the contact may know the old one.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use events::Purpose;
use serde_json::json;
use sha2::{Digest, Sha256};
use sqlx::PgConnection;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::{ContactError, store};
use crate::{
    App,
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
    previous: &Contact,
    now: OffsetDateTime,
) -> Result<String, ContactError> {
    let token = UndoToken::random()?;
    store::allow_undo(tx, &token.hash(), account_id, previous, now + UNDOABLE).await?;
    Ok(format!("/auth/undo?token={}", token.0))
}

/// Undoes a change of contact, and every later one of the account with it.
pub(crate) async fn undo(app: &App, token: &UndoToken) -> Result<(), ContactError> {
    let now = app.clock.now();
    let mut tx = app.pool.begin().await?;
    let undo = store::take_undo(&mut tx, &token.hash(), now).await?;
    let (account_id, previous) = undo.ok_or(ContactError::InvalidLink)?;
    if !store::exchange(&mut tx, account_id, &previous).await? {
        return Err(ContactError::InvalidLink);
    }
    store::forbid_undo(&mut tx, account_id).await?;
    let mut revoked = session::end_all(&mut tx, account_id, None, End::Contact, now).await?;
    revoked.push(Revoked::Subject(account_id));
    let wanted = Wanted {
        purpose: Purpose::ResetPassword,
        to: &previous,
        account_id: Some(account_id),
        bound_to: None,
        sends: Sends::Code,
        state: json!({}),
    };
    challenge::issue(app, &mut tx, &wanted, now).await?;
    audit::record(&mut tx, now, Act::ContactRestored, account_id, None).await?;
    revocation::revoke(&mut tx, &revoked, now).await?;
    tx.commit().await?;
    Ok(())
}
