//! What happened to accounts. A row is written in the commit of the act, so neither can be without
//! the other; the table refuses every change (`migrations/0004_audit.sql`), and each row is a link of
//! a chain, so that a change that was forced upon it is found ([`chain`], `0020_audit_chain.sql`).
//!
//! [`head`] signs where the chain ends, [`proof`] walks it, [`list`] shows the record to those whom
//! it concerns. Nothing of it is ever swept. Should it grow too large for one place, acts and links up to
//! some link may move to an archive together: the walk can begin at the link behind it.

mod chain;
pub(crate) mod head;
pub(crate) mod list;
pub(crate) mod proof;
mod store;

use axum::{
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::{Map, Value};
use sqlx::PgConnection;
use thiserror::Error;
use time::OffsetDateTime;
use uuid::Uuid;
use web::Problem;

use crate::{client::Client, rights::RightsError, signing_key::NoSigningKey};

pub(crate) use chain::hex;
pub(crate) use store::note_stranger;

/// What can happen. The names are kept for ever: people search for them.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Act {
    /// An address was proven and its account begun.
    Verified,
    /// Somebody signed in.
    SignedIn,
    /// Somebody failed to sign in to an account.
    SignInRefused,
    /// Somebody ended their session.
    SignedOut,
    /// Somebody ended all of their sessions.
    SignedOutEverywhere,
    /// Somebody who had given a first proof failed at the second.
    SecondFactorRefused,
    /// Somebody in a session proved again who they are.
    SteppedUp,
    /// Somebody ended a session of theirs from another one.
    SessionRevoked,
    /// Somebody enrolled a second factor.
    SecondFactorAdded,
    /// Somebody removed a second factor.
    SecondFactorRemoved,
    /// Somebody made recovery codes; older ones are void.
    RecoveryCodesMade,
    /// Somebody proved themselves with a recovery code.
    RecoveryCodeUsed,
    /// Somebody who was signed in changed their password.
    PasswordChanged,
    /// Somebody who had proven a contact chose another password.
    PasswordReset,
    /// Somebody exchanged their address of mail.
    EmailChanged,
    /// Somebody exchanged their phone number.
    PhoneChanged,
    /// Somebody undid the exchange of a contact.
    ContactRestored,
    /// A spent refresh token came back: two parties hold the family, so it was ended.
    TokenReused,
    /// Somebody made an API key.
    ApiKeyCreated,
    /// Somebody changed what an API key may do, or what it is called.
    ApiKeyChanged,
    /// Somebody gave an API key a new secret.
    ApiKeyRotated,
    /// Somebody took an API key back.
    ApiKeyRevoked,
    /// Somebody added a passkey.
    PasskeyAdded,
    /// Somebody gave a passkey another name.
    PasskeyRenamed,
    /// Somebody removed a passkey.
    PasskeyRemoved,
    /// A passkey's counter showed no more than before: there may be a copy of it.
    PasskeyCounterWentBack,
    /// An account of another provider's was linked: it opens the account from then on.
    IdentityLinked,
    /// Somebody removed such a link.
    IdentityRemoved,
    /// Somebody threw the keys that sign tokens away before their time.
    SigningKeysReplaced,
    /// Somebody made a service account.
    ServiceAccountCreated,
    /// Somebody ended a service account.
    ServiceAccountDeleted,
    /// Somebody gave a service account a key.
    ServiceKeyCreated,
    /// Somebody took a key from a service account.
    ServiceKeyDeleted,
    /// `backend demo` made or changed an account.
    DemoArranged,
    /// Somebody asked for a copy of all that is known of them.
    ExportAsked,
    /// Somebody fetched that copy.
    ExportFetched,
    /// Somebody gave up their account; it will be erased.
    ErasureAsked,
    /// Somebody had an account back that was given up.
    ErasureUndone,
    /// The person behind the account was forgotten.
    Erased,
    /// Somebody who may looked into the record: of this account, or of all.
    RecordRead,
    /// Somebody made a role.
    RoleCreated,
    /// Somebody changed what a role is for or may.
    RoleChanged,
    /// Somebody deleted a role.
    RoleDeleted,
    /// Somebody changed the rules of an API.
    AclChanged,
    /// Somebody gave an account other roles.
    RolesChanged,
    /// Somebody created an account for another.
    PersonCreated,
    /// Somebody looked at what is personal in an account.
    PersonalDataRead,
    /// Somebody changed what an account says of its owner.
    ProfileChanged,
    /// Somebody made sure who an account's owner is.
    PersonVerified,
    /// Somebody banned an account.
    Banned,
    /// Somebody lifted a ban.
    Unbanned,
    /// Somebody froze an account.
    Frozen,
    /// Somebody lifted a freeze.
    Unfrozen,
    /// Somebody deleted an account.
    Deleted,
    /// A ban or a freeze was over by itself.
    StandingLifted,
    /// Somebody took every second factor from an account.
    FactorsReset,
    /// Somebody ended another's sessions.
    SessionsEnded,
}

impl Act {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Verified => "user.verified",
            Self::SignedIn => "session.begun",
            Self::SignInRefused => "session.refused",
            Self::SignedOut => "session.ended",
            Self::SignedOutEverywhere => "session.all_ended",
            Self::SecondFactorRefused => "session.second_factor_refused",
            Self::SteppedUp => "session.stepped_up",
            Self::SessionRevoked => "session.revoked",
            Self::SecondFactorAdded => "second_factor.added",
            Self::SecondFactorRemoved => "second_factor.removed",
            Self::RecoveryCodesMade => "recovery_codes.made",
            Self::RecoveryCodeUsed => "recovery_code.used",
            Self::PasswordChanged => "password.changed",
            Self::PasswordReset => "password.reset",
            Self::EmailChanged => "email.changed",
            Self::PhoneChanged => "phone.changed",
            Self::ContactRestored => "contact.restored",
            Self::TokenReused => "session.token_reused",
            Self::ApiKeyCreated => "api_key.created",
            Self::ApiKeyChanged => "api_key.changed",
            Self::ApiKeyRotated => "api_key.rotated",
            Self::ApiKeyRevoked => "api_key.revoked",
            Self::PasskeyAdded => "passkey.added",
            Self::PasskeyRenamed => "passkey.renamed",
            Self::PasskeyRemoved => "passkey.removed",
            Self::PasskeyCounterWentBack => "passkey.counter_went_back",
            Self::IdentityLinked => "identity.linked",
            Self::IdentityRemoved => "identity.removed",
            Self::SigningKeysReplaced => "signing_keys.replaced",
            Self::ServiceAccountCreated => "service_account.created",
            Self::ServiceAccountDeleted => "service_account.deleted",
            Self::ServiceKeyCreated => "service_account.key_created",
            Self::ServiceKeyDeleted => "service_account.key_deleted",
            Self::DemoArranged => "user.demo_arranged",
            Self::ExportAsked => "user.export_asked",
            Self::ExportFetched => "user.export_fetched",
            Self::ErasureAsked => "user.erasure_asked",
            Self::ErasureUndone => "user.erasure_undone",
            // The walk of the record asks for this name (audit/store.rs).
            Self::Erased => "user.erased",
            Self::RecordRead => "audit.read",
            Self::RoleCreated => "role.created",
            Self::RoleChanged => "role.changed",
            Self::RoleDeleted => "role.deleted",
            Self::AclChanged => "acl.changed",
            Self::RolesChanged => "user.roles_changed",
            Self::PersonCreated => "user.created",
            Self::PersonalDataRead => "user.personal_data_read",
            Self::ProfileChanged => "user.profile_changed",
            Self::PersonVerified => "user.identity_verified",
            Self::Banned => "user.banned",
            Self::Unbanned => "user.unbanned",
            Self::Frozen => "user.frozen",
            Self::Unfrozen => "user.unfrozen",
            Self::Deleted => "user.deleted",
            Self::StandingLifted => "user.standing_lifted",
            Self::FactorsReset => "user.factors_reset",
            Self::SessionsEnded => "user.sessions_ended",
        }
    }
}

/// An act of the present request, to be written down.
///
/// ```text
/// Entry::new(Act::Banned, account.id)
///     .by(caller.user_id)
///     .session(caller.sid)
///     .say("reason", &reason)
///     .record(&mut tx, now)
///     .await?;
/// ```
#[must_use = "an entry that is not recorded says nothing"]
pub(crate) struct Entry {
    act: Act,
    account_id: Uuid,
    actor_id: Option<Uuid>,
    session_id: Option<Uuid>,
    api_key_id: Option<Uuid>,
    detail: Map<String, Value>,
}

impl Entry {
    /// With the account it concerns.
    pub(crate) fn new(act: Act, account_id: Uuid) -> Self {
        Self {
            act,
            account_id,
            actor_id: None,
            session_id: None,
            api_key_id: None,
            detail: Map::new(),
        }
    }

    /// Who did it. Left out where it is the account's owner, by all that was proven.
    pub(crate) fn by(mut self, actor_id: Uuid) -> Self {
        self.actor_id = Some(actor_id).filter(|actor_id| *actor_id != self.account_id);
        self
    }

    /// The session it was done in, or that it is about.
    pub(crate) fn session(mut self, session_id: impl Into<Option<Uuid>>) -> Self {
        self.session_id = session_id.into();
        self
    }

    /// The API key it is about.
    pub(crate) fn api_key(mut self, api_key_id: Uuid) -> Self {
        self.api_key_id = Some(api_key_id);
        self
    }

    /// The program that it was done with, and where from.
    pub(crate) fn from(self, client: &Client) -> Self {
        let ip = client.ip.map(|ip| ip.to_canonical().to_string());
        let told = [("ip", ip), ("user_agent", client.user_agent.clone())];
        told.into_iter()
            .fold(self, |entry, (what, told)| match told {
                Some(told) => entry.say(what, told),
                None => entry,
            })
    }

    /// A particular: `reason`, `note`, `provider`. It may be personal, since it goes with its person;
    /// it must not be a secret. The account's owner sees none but `ip` and `user_agent`.
    pub(crate) fn say(mut self, what: &'static str, value: impl Into<Value>) -> Self {
        self.detail.insert(what.to_owned(), value.into());
        self
    }

    fn detail_text(&self) -> Option<String> {
        let told = !self.detail.is_empty();
        told.then(|| serde_json::to_string(&self.detail).expect("JSON values serialise"))
    }

    /// Writes it down with the transaction of the act.
    pub(crate) async fn record(
        self,
        tx: &mut PgConnection,
        now: OffsetDateTime,
    ) -> Result<(), sqlx::Error> {
        store::insert(tx, self, now).await
    }
}

/// Writes down an act of which there is no more to say than the account it concerns, and the session
/// where there is one.
pub(crate) async fn record(
    tx: &mut PgConnection,
    now: OffsetDateTime,
    act: Act,
    account_id: Uuid,
    session_id: Option<Uuid>,
) -> Result<(), sqlx::Error> {
    let entry = Entry::new(act, account_id).session(session_id);
    entry.record(tx, now).await
}

/// Writes down that a sign-in was refused to an address that no account has: not in the record, but in
/// the time that it takes to write [`Act::SignInRefused`] there.
pub(crate) async fn record_stranger(
    tx: &mut PgConnection,
    client: &Client,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    let entry = Entry::new(Act::SignInRefused, Uuid::nil()).from(client);
    store::insert_stranger(tx, entry.detail_text(), now).await
}

/// Why the record is not shown, or not proven.
#[derive(Debug, Error)]
pub(crate) enum AuditError {
    #[error(transparent)]
    Rights(#[from] RightsError),
    #[error("the cursor is of another list")]
    BadCursor,
    #[error("`from` is at least 1, `to` not before it, and `limit` 1 to 100000")]
    BadRange,
    #[error("the head was not signed by this place")]
    BadHead,
    #[error(transparent)]
    NoKey(#[from] NoSigningKey),
    #[error("drawing a nonce")]
    Randomness(#[from] getrandom::Error),
    #[error("reading the record")]
    Store(#[from] sqlx::Error),
}

impl From<AuditError> for Problem {
    fn from(error: AuditError) -> Self {
        match error {
            AuditError::Rights(error) => error.into(),
            AuditError::NoKey(error) => error.into(),
            AuditError::BadCursor => {
                Problem::new(StatusCode::BAD_REQUEST, "bad_cursor", "Bad cursor")
                    .detail("give a next_cursor of this very list, unchanged, or none")
            }
            AuditError::BadRange => Problem::bad_request(error.to_string()),
            AuditError::BadHead => {
                Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "bad_head", "Bad head")
                    .detail(error.to_string())
            }
            AuditError::Randomness(_) | AuditError::Store(_) => Problem::internal(error),
        }
    }
}

impl IntoResponse for AuditError {
    fn into_response(self) -> Response {
        Problem::from(self).into_response()
    }
}
