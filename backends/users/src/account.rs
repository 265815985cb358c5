//! Who may sign in, and as what.

pub(crate) mod store;

use time::OffsetDateTime;
use uuid::Uuid;

/// What everybody is who has proven an address.
pub(crate) const DEFAULT_ROLE: &str = "user";

/// An account: its address is proven.
pub(crate) struct Account {
    pub(crate) id: Uuid,
    pub(crate) email: String,
    /// A PHC string; none for people who never chose a password.
    pub(crate) password_hash: Option<String>,
    /// In alphabetical order.
    pub(crate) roles: Vec<String>,
    /// Goes up with each change of what the account may do.
    pub(crate) perm_ver: i64,
    pub(crate) created_at: OffsetDateTime,
}
