//! What `users` tells.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::Event;

/// The way a message takes to its address.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    /// Mail, to an address of mail.
    #[default]
    Email,
    /// A text message, to a number in E.164 form.
    Sms,
}

/// A user has proven an address for the first time: the account is open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserVerified {
    /// Who.
    pub user_id: Uuid,
    /// The address of mail that they have proven, if that is how they came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// The phone number that they have proven, in E.164 form, if that is how they came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
}

impl Event for UserVerified {
    const TOPIC: &'static str = "users.verified";

    fn key(&self) -> String {
        self.user_id.to_string()
    }
}

/// A one-time code was made and must reach its address.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CodeIssued {
    /// The address to send to.
    pub to: String,
    /// What kind of address it is.
    #[serde(default)]
    pub channel: Channel,
    /// The code itself; a secret until it expires.
    pub code: String,
    /// Where the same is done by a click: a path with what proves it, to be put behind the configured
    /// base URL. As secret as the code. Only ever for mail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
    /// What the code is for; chooses the words around it.
    pub purpose: Purpose,
    /// After this the code is worthless, and so is sending it.
    #[serde(with = "time::serde::rfc3339")]
    pub expires_at: OffsetDateTime,
}

impl std::fmt::Debug for CodeIssued {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CodeIssued")
            .field("to", &"***")
            .field("channel", &self.channel)
            .field("code", &"***")
            .field("purpose", &self.purpose)
            .field("expires_at", &self.expires_at)
            .finish()
    }
}

/// What a one-time code is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// Proves that a new account's address is its owner's.
    VerifyEmail,
    /// Proves that a new account's phone number is its owner's.
    VerifyPhone,
    /// Signs somebody in, in place of a password.
    SignIn,
    /// Is the second proof of a sign-in.
    SecondFactor,
    /// Is a fresh proof before something risky.
    StepUp,
    /// Lets somebody choose another password.
    ResetPassword,
    /// Proves an address that an account is to have from now on.
    ChangeEmail,
    /// Proves a phone number that an account is to have from now on.
    ChangePhone,
    /// Proves the local account before another provider's is linked to it.
    LinkIdentity,
}

impl Event for CodeIssued {
    const TOPIC: &'static str = "users.code_issued";

    fn key(&self) -> String {
        self.to.clone()
    }
}

/// Somebody registered with an address that already has an account: its owner should hear of it,
/// and the one who asked must not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddressKnown {
    /// The address to send to.
    pub to: String,
    /// What kind of address it is.
    #[serde(default)]
    pub channel: Channel,
}

impl Event for AddressKnown {
    const TOPIC: &'static str = "users.address_known";

    fn key(&self) -> String {
        self.to.clone()
    }
}

/// Something has happened to an account that its owner must hear of, whatever they prefer: they may
/// not be the one who did it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecurityNotice {
    /// Whose account it is.
    pub user_id: Uuid,
    /// The address to send to. After a change of address it is the old one.
    pub to: String,
    /// What kind of address it is.
    pub channel: Channel,
    /// What has happened.
    pub what: Notice,
    /// When.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// A few words about the case: the device that was new, the provider that was linked. From
    /// outside, so never more than text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<String>,
    /// Where it can be undone by a click: a path with what proves the right to, to be put behind the
    /// configured base URL. As secret as a code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undo: Option<String>,
}

impl std::fmt::Debug for SecurityNotice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SecurityNotice")
            .field("user_id", &self.user_id)
            .field("channel", &self.channel)
            .field("what", &self.what)
            .field("at", &self.at)
            .finish_non_exhaustive()
    }
}

/// Somebody was erased at their own wish: whoever keeps something personal of theirs forgets it now,
/// but for what must be kept by law.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserErased {
    /// Who it was.
    pub user_id: Uuid,
    /// Their addresses and numbers, of each the SHA-256 in hex of `user_id` as text followed by it:
    /// enough to find it again where it is kept, and no place more where it is told.
    pub addresses: Vec<String>,
}

impl Event for UserErased {
    const TOPIC: &'static str = "users.erased";

    fn key(&self) -> String {
        self.user_id.to_string()
    }
}

/// The record of acts has grown. Whoever keeps this can prove later that nothing up to here was
/// changed since, nor cut off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditHead {
    /// The number of the last link.
    pub n: i64,
    /// Its SHA-256, in hex: it stands for all links up to it.
    pub hash: String,
    /// When it was signed.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// A compact JWS of type `audit-head+jwt` that says `n` and `hash`.
    pub signature: String,
    /// Names the key that it is checked with.
    pub kid: String,
    /// That key itself, an Ed25519 public key in base64url: it is published only as long as tokens
    /// are signed with it.
    pub key: String,
}

impl Event for AuditHead {
    const TOPIC: &'static str = "users.audit_head";

    fn key(&self) -> String {
        "record".to_owned()
    }
}

/// What can happen to an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Notice {
    /// Somebody signed in from a device that was not seen before.
    NewDevice,
    /// The password was changed by somebody who was signed in.
    PasswordChanged,
    /// The password was replaced by somebody who had proven an address.
    PasswordReset,
    /// The account's address of mail is another one now.
    EmailChanged,
    /// The account's phone number is another one now.
    PhoneChanged,
    /// A second factor was enrolled.
    SecondFactorAdded,
    /// A second factor was removed.
    SecondFactorRemoved,
    /// New recovery codes were made; the old ones are void.
    RecoveryCodesMade,
    /// A recovery code was spent.
    RecoveryCodeUsed,
    /// An account of another provider may sign in from now on.
    IdentityLinked,
    /// An account of another provider may no longer sign in.
    IdentityRemoved,
    /// A key for programs was made.
    ApiKeyCreated,
    /// A refresh token was used twice, so the session was ended.
    TokenReused,
    /// The account was frozen: it can be looked into and can do nothing.
    Frozen,
    /// The account was banned: nobody can sign in to it.
    Banned,
    /// The account is as it was before it was frozen or banned.
    Restored,
    /// The account will be erased, unless somebody signs in and says otherwise.
    ErasureDue,
    /// A copy of all that is known of the account can be fetched.
    ExportReady,
}

impl Event for SecurityNotice {
    const TOPIC: &'static str = "users.security_notice";

    fn key(&self) -> String {
        self.user_id.to_string()
    }
}

/// An account is good for something else from now on. Whoever keeps something for its owner that
/// should stop, or may go on again, hears of it here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StandingChanged {
    /// Whose account it is.
    pub user_id: Uuid,
    /// `active`, `frozen`, `banned` or `deleted`.
    pub standing: String,
    /// When it is active again by itself; another event says so then.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "time::serde::rfc3339::option"
    )]
    pub until: Option<OffsetDateTime>,
}

impl Event for StandingChanged {
    const TOPIC: &'static str = "users.standing_changed";

    fn key(&self) -> String {
        self.user_id.to_string()
    }
}
