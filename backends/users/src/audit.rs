//! What happened to accounts. A row is written in the commit of the act, so neither can be without
//! the other; the table refuses every change (`migrations/0004_audit.sql`).

mod store;

pub(crate) use store::{note_stranger, record, record_key};

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
    /// `backend demo` made or changed an account.
    DemoArranged,
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
            Self::DemoArranged => "user.demo_arranged",
        }
    }
}
