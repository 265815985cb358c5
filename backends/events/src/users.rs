//! What `users` tells.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::Event;

/// A user has proven an address for the first time: the account is open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserVerified {
    /// Who.
    pub user_id: Uuid,
    /// The proven address.
    pub email: String,
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
    /// The code itself; a secret until it expires.
    pub code: String,
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
}

impl Event for AddressKnown {
    const TOPIC: &'static str = "users.address_known";

    fn key(&self) -> String {
        self.to.clone()
    }
}
