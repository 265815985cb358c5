//! Which standing follows which: what people who run the place can do to an account.

use events::Notice;

use crate::{account::Standing, audit::Act};

/// What is done to an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    Ban,
    Unban,
    Freeze,
    Unfreeze,
    Delete,
}

impl Verb {
    /// "An account that is active can't be …"
    pub(super) fn done(self) -> &'static str {
        match self {
            Self::Ban => "banned",
            Self::Unban => "unbanned",
            Self::Freeze => "frozen",
            Self::Unfreeze => "unfrozen",
            Self::Delete => "deleted",
        }
    }

    /// As the record calls it.
    pub(super) fn act(self) -> Act {
        match self {
            Self::Ban => Act::Banned,
            Self::Unban => Act::Unbanned,
            Self::Freeze => Act::Frozen,
            Self::Unfreeze => Act::Unfrozen,
            Self::Delete => Act::Deleted,
        }
    }

    /// What the account's owner is told. Of a deletion they hear where it is erased.
    pub(super) fn notice(self) -> Option<Notice> {
        match self {
            Self::Ban => Some(Notice::Banned),
            Self::Freeze => Some(Notice::Frozen),
            Self::Unban | Self::Unfreeze => Some(Notice::Restored),
            Self::Delete => None,
        }
    }

    /// The standing that follows, if this one can be left by it. Doing a thing again gives it another
    /// reason and another end. A ban is lifted by those who may ban, so it can't be softened into a
    /// freeze. Whoever has given themselves up can still be banned while they are not forgotten:
    /// nobody escapes by that, and what they have done can be looked into.
    pub(super) fn from(self, standing: Standing) -> Option<Standing> {
        use Standing::{Active, Banned, Deleted, Frozen};
        match (self, standing) {
            (Self::Delete, Active | Frozen | Banned) => Some(Deleted),
            (Self::Ban, _) => Some(Banned),
            (Self::Freeze, Active | Frozen) => Some(Frozen),
            (Self::Unban, Banned) | (Self::Unfreeze, Frozen) => Some(Active),
            (Self::Freeze, Banned | Deleted)
            | (Self::Unban, Active | Frozen | Deleted)
            | (Self::Unfreeze, Active | Banned | Deleted)
            | (Self::Delete, Deleted) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verb_leads_from_every_standing_where_the_table_says() {
        use Standing::{Active, Banned, Deleted, Frozen};
        let verbs = [
            Verb::Ban,
            Verb::Unban,
            Verb::Freeze,
            Verb::Unfreeze,
            Verb::Delete,
        ];
        #[rustfmt::skip]
        let table = [
            // from    ban           unban         freeze        unfreeze      delete
            (Active,  [Some(Banned), None,         Some(Frozen), None,         Some(Deleted)]),
            (Frozen,  [Some(Banned), None,         Some(Frozen), Some(Active), Some(Deleted)]),
            (Banned,  [Some(Banned), Some(Active), None,         None,         Some(Deleted)]),
            (Deleted, [Some(Banned), None,         None,         None,         None]),
        ];
        for (standing, outcomes) in table {
            for (verb, outcome) in verbs.into_iter().zip(outcomes) {
                assert_eq!(verb.from(standing), outcome, "{verb:?} from {standing:?}");
            }
        }
    }
}
