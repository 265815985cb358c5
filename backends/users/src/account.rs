//! Who may sign in, and as what.

pub(crate) mod store;

use time::OffsetDateTime;
use uuid::Uuid;

use crate::{
    contact::{Contact, Phone},
    email::Email,
};

/// What everybody is who has proven a contact.
pub(crate) const DEFAULT_ROLE: &str = "user";
/// What somebody is whose account is frozen, and nothing else: they see and do nothing.
pub(crate) const FROZEN_ROLE: &str = "frozen";

/// An account: whatever contact it has is proven.
#[derive(Clone, Debug)]
pub(crate) struct Account {
    pub(crate) id: Uuid,
    pub(crate) email: Option<String>,
    /// In E.164 form.
    pub(crate) phone: Option<String>,
    pub(crate) name: Option<String>,
    /// A PHC string; none for people who never chose a password.
    pub(crate) password_hash: Option<String>,
    /// Goes up with each password that is chosen.
    pub(crate) password_ver: i64,
    /// As they were given, in alphabetical order; what counts today is [`Account::roles`].
    pub(crate) roles_given: Vec<String>,
    /// Goes up with each change of what the account may do.
    pub(crate) perm_ver: i64,
    /// As it was put down; what counts today is [`Account::standing`].
    pub(crate) standing_given: Standing,
    /// From when on it is active again.
    pub(crate) standing_until: Option<OffsetDateTime>,
    pub(crate) created_at: OffsetDateTime,
}

/// What an account is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    Active,
    /// It gets in, looks, and does nothing.
    Frozen,
    /// It does not get in.
    Banned,
    /// It waits for its erasure, or is over.
    Deleted,
}

impl Standing {
    /// As the database calls it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Frozen => "frozen",
            Self::Banned => "banned",
            Self::Deleted => "deleted",
        }
    }
}

impl From<String> for Standing {
    fn from(name: String) -> Self {
        match name.as_str() {
            "active" => Self::Active,
            "frozen" => Self::Frozen,
            "deleted" => Self::Deleted,
            // What a newer version has put down is no reason to let anybody in.
            _ => Self::Banned,
        }
    }
}

impl Account {
    /// What the account is good for now.
    pub(crate) fn standing(&self, now: OffsetDateTime) -> Standing {
        if self.standing_until.is_some_and(|until| until <= now) {
            Standing::Active
        } else {
            self.standing_given
        }
    }

    /// The roles that it speaks with now, in alphabetical order.
    pub(crate) fn roles(&self, now: OffsetDateTime) -> Vec<String> {
        match self.standing(now) {
            Standing::Active => self.roles_given.clone(),
            Standing::Frozen => vec![FROZEN_ROLE.to_owned()],
            Standing::Banned | Standing::Deleted => Vec::new(),
        }
    }

    /// Where its owner is reached first.
    pub(crate) fn contact(&self) -> Option<Contact> {
        self.mailbox().or_else(|| self.number())
    }

    /// The address of mail.
    pub(crate) fn mailbox(&self) -> Option<Contact> {
        let email = self.email.as_deref();
        email
            .and_then(|text| Email::parse(text).ok())
            .map(Contact::Email)
    }

    /// The phone number.
    pub(crate) fn number(&self) -> Option<Contact> {
        let phone = self.phone.as_deref();
        phone
            .and_then(|text| Phone::parse(text).ok())
            .map(Contact::Phone)
    }
}

#[cfg(test)]
mod tests {
    use time::Duration;

    use super::*;

    #[test]
    fn a_standing_ends_by_the_clock_and_decides_the_roles() {
        let now = OffsetDateTime::from_unix_timestamp(1_800_000_000).expect("a time");
        let account = |standing_given, standing_until| Account {
            id: Uuid::nil(),
            email: Some("ann@example.com".to_owned()),
            phone: None,
            name: None,
            password_hash: None,
            password_ver: 0,
            roles_given: vec!["support".to_owned(), "user".to_owned()],
            perm_ver: 1,
            standing_given,
            standing_until,
            created_at: now,
        };
        let second = Duration::SECOND;
        for (given, until, standing, roles) in [
            (
                Standing::Active,
                None,
                Standing::Active,
                &["support", "user"][..],
            ),
            (Standing::Frozen, None, Standing::Frozen, &["frozen"]),
            (Standing::Banned, None, Standing::Banned, &[]),
            (Standing::Banned, Some(now + second), Standing::Banned, &[]),
            (
                Standing::Banned,
                Some(now),
                Standing::Active,
                &["support", "user"],
            ),
            (Standing::Deleted, None, Standing::Deleted, &[]),
        ] {
            let account = account(given, until);
            assert_eq!(account.standing(now), standing, "{given:?} {until:?}");
            assert_eq!(account.roles(now), roles, "{given:?} {until:?}");
        }
        assert_eq!(Standing::from("suspended".to_owned()), Standing::Banned);
    }
}
