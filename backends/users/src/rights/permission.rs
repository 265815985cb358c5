//! What can be permitted.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Makes the enum, the list of all and the names out of one list.
macro_rules! permissions {
    ($($(#[$doc:meta])* $permission:ident = $name:literal,)*) => {
        /// One thing that a role may let people do. Their names are in roles and rules, so they are
        /// kept for ever; their list is closed, and `users.permission` holds the same one.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
        pub(crate) enum Permission {
            $($(#[$doc])* #[serde(rename = $name)] $permission,)*
        }

        impl Permission {
            /// All of them.
            #[cfg(test)]
            pub(crate) const ALL: &[Self] = &[$(Self::$permission),*];

            /// Its name in roles, rules and answers.
            pub(crate) fn name(self) -> &'static str {
                match self {
                    $(Self::$permission => $name,)*
                }
            }
        }
    };
}

permissions! {
    /// Look into accounts, with their addresses masked.
    UsersRead = "users.read",
    /// See the addresses of accounts in full; each look is recorded.
    UsersReadPii = "users.read_pii",
    /// Create accounts and invite people.
    UsersCreate = "users.create",
    /// Change what accounts say of their owners.
    UsersEdit = "users.edit",
    /// Delete accounts.
    UsersDelete = "users.delete",
    /// Freeze and unfreeze accounts, and end their sessions.
    UsersFreeze = "users.freeze",
    /// Ban, unban and verify accounts, and take their second factors away.
    UsersModerate = "users.moderate",
    /// Give roles to accounts, and take them away.
    RolesAssign = "roles.assign",
    /// Make, change and delete roles.
    RolesManage = "roles.manage",
    /// Change the rules of APIs.
    AclManage = "acl.manage",
    /// Make and end service accounts and their keys.
    ServicesManage = "services.manage",
    /// Turn the keys that sign tokens over ahead of time.
    KeysManage = "keys.manage",
    /// Ask what other accounts may, and read all that is decided by.
    AuthzCheck = "authz.check",
    /// Read the record of what happened to accounts.
    AuditRead = "audit.read",
    /// Have the record proven.
    AuditVerify = "audit.verify",
    /// Look into the wallets of others.
    WalletsRead = "wallets.read",
    /// Look into the transfers of others.
    TransfersRead = "transfers.read",
    /// Look into what was sent to others.
    NotificationsRead = "notifications.read",
}
