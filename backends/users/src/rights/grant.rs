//! The rule of all who hand on rights: nobody gives, or takes away, what they don't hold themselves.
//! And the rule above it: an admin stays.

use std::collections::BTreeSet;

use axum::http::StatusCode;
use sqlx::PgConnection;
use thiserror::Error;
use time::OffsetDateTime;
use uuid::Uuid;
use web::{Caller, Problem};

use super::{Snapshot, store};
use crate::{account, role::ADMIN};

/// Somebody who is about to change who may what, or what becomes of others.
pub(crate) struct Granter {
    /// Who may what, as of this transaction.
    pub(crate) snapshot: Snapshot,
    /// The roles that they speak with.
    pub(crate) roles: Vec<String>,
    held: BTreeSet<String>,
}

/// Somebody would hand on, or touch, more than they hold.
#[derive(Debug, Error)]
#[error("it takes `{0}`, which the caller does not hold")]
pub(crate) struct Above(String);

/// Nobody would be left who may everything.
#[derive(Debug, Error)]
pub(crate) enum LastAdmin {
    #[error("it is the last admin that is active")]
    Stays,
    #[error("looking for another admin")]
    Store(#[from] sqlx::Error),
}

/// Begins a change of who may what, or of somebody's standing: until the transaction ends nobody else
/// makes one, so what is judged stays so. To be the first lock that a transaction takes.
///
/// What the granter holds is read anew, behind the lock: of two admins who demote each other at once,
/// the second is none any more when it is their turn.
pub(crate) async fn begin_change(
    tx: &mut PgConnection,
    caller: &Caller,
    now: OffsetDateTime,
) -> Result<Granter, sqlx::Error> {
    store::lock(tx).await?;
    let snapshot = store::snapshot(&mut *tx).await?;
    let account = account::store::by_id(&mut *tx, caller.user_id).await?;
    // No more than the token says either: it may speak for less than the account.
    let roles = account.map_or_else(Vec::new, |account| account.roles(now));
    let roles: Vec<String> = roles
        .into_iter()
        .filter(|role| caller.has_role(role))
        .collect();
    let held = snapshot.held(&roles).into_iter().map(str::to_owned);
    Ok(Granter {
        held: held.collect(),
        roles,
        snapshot,
    })
}

/// Refuses to go on when the account is the last admin that is active: to be asked before an account
/// loses its roles or its standing. Takes the lock of [`begin_change`] if that was not taken.
pub(crate) async fn last_admin(
    tx: &mut PgConnection,
    account_id: Uuid,
    now: OffsetDateTime,
) -> Result<(), LastAdmin> {
    store::lock(tx).await?;
    let admins = store::admins(tx, ADMIN, now).await?;
    if admins == [account_id] {
        return Err(LastAdmin::Stays);
    }
    Ok(())
}

/// Refuses to show somebody who may what the caller may not, as far as is known now.
pub(crate) fn covers(snapshot: &Snapshot, caller: &Caller, roles: &[String]) -> Result<(), Above> {
    let held = snapshot.held(&caller.roles);
    let mut theirs = snapshot.held(roles).into_iter();
    let above = theirs.find(|permission| !held.contains(permission));
    above.map_or(Ok(()), |above| Err(Above(above.to_owned())))
}

impl Granter {
    /// Refuses permissions that the granter does not hold.
    pub(crate) fn holds<'a>(
        &self,
        permissions: impl IntoIterator<Item = &'a String>,
    ) -> Result<(), Above> {
        let mut permissions = permissions.into_iter();
        let above = permissions.find(|permission| !self.held.contains(*permission));
        above.map_or(Ok(()), |above| Err(Above(above.clone())))
    }

    /// Refuses roles with which one may what the granter may not.
    pub(crate) fn covers<'a>(
        &self,
        roles: impl IntoIterator<Item = &'a String>,
    ) -> Result<(), Above> {
        let permissions = roles
            .into_iter()
            .filter_map(|role| self.snapshot.roles.get(role))
            .flatten();
        self.holds(permissions)
    }
}

impl From<Above> for Problem {
    fn from(error: Above) -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "above_own_rights",
            "Above your own rights",
        )
        .detail(error.to_string())
    }
}

impl From<LastAdmin> for Problem {
    fn from(error: LastAdmin) -> Self {
        match error {
            LastAdmin::Stays => Self::new(StatusCode::CONFLICT, "last_admin", "The last admin")
                .detail(error.to_string()),
            LastAdmin::Store(_) => Self::internal(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn nobody_hands_on_more_than_they_hold() {
        let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let granter = Granter {
            snapshot: Snapshot {
                version: 1,
                roles: BTreeMap::from([
                    ("reader".to_owned(), set(&["users.read"])),
                    ("mover".to_owned(), set(&["users.read", "wallets.read"])),
                    ("plain".to_owned(), set(&[])),
                ]),
                acl: BTreeMap::new(),
            },
            roles: vec!["reader".to_owned()],
            held: set(&["users.read", "roles.assign"]),
        };
        for (roles, good) in [
            (&[][..], true),
            (&["plain"], true),
            (&["reader"], true),
            (&["reader", "plain"], true),
            (&["mover"], false),
            (&["plain", "mover"], false),
        ] {
            let roles: Vec<String> = roles.iter().map(|role| (*role).to_owned()).collect();
            assert_eq!(granter.covers(&roles).is_ok(), good, "{roles:?}");
        }
        assert!(granter.holds(&["users.delete".to_owned()]).is_err());
    }
}
