use plugin_sdk::{BuildError, Rights, Seen};

use super::demand::{Verdict, owns};

/// The longest name of an API, in bytes.
const MAX_NAME: usize = 64;

/// An API whose rules must let the caller in.
pub(super) struct Api {
    name: String,
    /// The parameter of the path that its owner is named by.
    owner: Option<String>,
}

impl Api {
    pub(super) fn compile(
        name: Option<String>,
        owner: Option<String>,
    ) -> Result<Option<Self>, BuildError> {
        let Some(name) = name else {
            let alone = owner.map(|_| {
                BuildError::new("owner_param", "goes without `acl`")
                    .hint("add `acl:` with the API whose rules mean it, or write `owner:`")
            });
            return alone.map_or(Ok(None), Err);
        };
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        if name.is_empty() || name.len() > MAX_NAME || !name.bytes().all(plain) {
            return Err(BuildError::new("acl", "is no name of an API")
                .hint("1 to 64 of letters, digits, `.`, `_` and `-`"));
        }
        Ok(Some(Self { name, owner }))
    }

    pub(super) fn judge(&self, seen: &Seen<'_>) -> Verdict<'static> {
        let Some(who) = &seen.facts.principal else {
            return Verdict::Nobody;
        };
        let snapshot = match &seen.facts.rights {
            Rights::Known(snapshot) => snapshot,
            Rights::Unknown => return Verdict::Unavailable,
            Rights::Supposed(_) => return Verdict::Unjudged,
        };
        let owner = self.owner.as_ref();
        let owns = owner.is_some_and(|param| owns(seen, who, param));
        match snapshot.admits(&self.name, seen.head.method, who, owns) {
            true => Verdict::Fits,
            false => Verdict::Forbidden,
        }
    }
}
