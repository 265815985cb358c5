//! What a key may be called, may do, and where it is good from.

use identity::Network;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::ApiKeyError;

/// The most scopes that a key has.
const MAX_SCOPES: usize = 16;
/// The most networks that it is good from.
const MAX_NETWORKS: usize = 16;
/// The longest name, in characters.
const MAX_NAME: usize = 64;

/// What its owner calls a key: one line of up to 64 characters.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "String")]
#[schema(value_type = String, min_length = 1, max_length = 64, example = "nightly report")]
pub(super) struct Name(String);

/// What a key may do: up to 16 names, such as `wallets:read`.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "Vec<String>")]
#[schema(value_type = Vec<String>, min_items = 1, max_items = 16, example = json!(["wallets:read"]))]
pub(super) struct Scopes(Vec<String>);

/// Address blocks that a key is good from: up to 16, such as `192.0.2.0/24` or one address.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "Vec<String>")]
#[schema(value_type = Vec<String>, max_items = 16, example = json!(["192.0.2.0/24"]))]
pub(super) struct Networks(Vec<String>);

impl TryFrom<String> for Name {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let text = text.trim();
        let length = text.chars().count();
        if !(1..=MAX_NAME).contains(&length) || text.chars().any(char::is_control) {
            return Err("expected one line of 1 to 64 characters");
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<Vec<String>> for Scopes {
    type Error = &'static str;

    fn try_from(mut names: Vec<String>) -> Result<Self, Self::Error> {
        // A key that may do nothing is of no use to anybody but as a mistake.
        if !(1..=MAX_SCOPES).contains(&names.len()) {
            return Err("expected 1 to 16 scopes");
        }
        // In one order, so that the same wish has one fingerprint.
        names.sort_unstable();
        names.dedup();
        Ok(Self(names))
    }
}

impl TryFrom<Vec<String>> for Networks {
    type Error = String;

    fn try_from(blocks: Vec<String>) -> Result<Self, Self::Error> {
        if blocks.len() > MAX_NETWORKS {
            return Err("expected up to 16 networks".to_owned());
        }
        let read = blocks.iter().map(|text| {
            let Network { address, prefix } =
                Network::parse(text).map_err(|hint| format!("not an address block: {hint}"))?;
            Ok::<_, String>(format!("{address}/{prefix}"))
        });
        let mut blocks = read.collect::<Result<Vec<_>, _>>()?;
        blocks.sort_unstable();
        blocks.dedup();
        Ok(Self(blocks))
    }
}

impl Scopes {
    /// Whether all of them are among those that somebody holds.
    pub(super) fn within(&self, held: &[String]) -> Result<(), ApiKeyError> {
        match self.0.iter().find(|scope| !held.contains(scope)) {
            None => Ok(()),
            Some(scope) => Err(ApiKeyError::ScopeNotHeld(scope.clone())),
        }
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0
    }
}

impl From<Scopes> for Vec<String> {
    fn from(scopes: Scopes) -> Self {
        scopes.0
    }
}

impl From<Networks> for Vec<String> {
    fn from(networks: Networks) -> Self {
        networks.0
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read<T: serde::de::DeserializeOwned + Serialize>(value: Value) -> Option<Value> {
        let read: T = serde_json::from_value(value).ok()?;
        serde_json::to_value(read).ok()
    }

    #[test]
    fn what_comes_in_is_put_in_one_form_or_refused() {
        assert_eq!(read::<Name>(json!("  a b ")), Some(json!("a b")));
        for bad in ["", "  ", "a\nb", &"x".repeat(65)] {
            assert_eq!(read::<Name>(json!(bad)), None, "{bad:?}");
        }
        assert_eq!(
            read::<Name>(json!("я".repeat(64))),
            Some(json!("я".repeat(64)))
        );

        let scopes = read::<Scopes>(json!(["b:x", "a:x", "b:x"]));
        assert_eq!(scopes, Some(json!(["a:x", "b:x"])));
        assert_eq!(read::<Scopes>(json!([])), None);
        assert_eq!(read::<Scopes>(json!(vec!["a:x"; 17])), None);

        let networks = read::<Networks>(json!(["192.0.2.7", "10.0.0.0/8", "2001:DB8::/32"]));
        let expected = json!(["10.0.0.0/8", "192.0.2.7/32", "2001:db8::/32"]);
        assert_eq!(networks, Some(expected));
        assert_eq!(read::<Networks>(json!([])), Some(json!([])));
        for bad in ["10.0.0.1/8", "10.0.0.0/33", "everywhere", ""] {
            assert_eq!(read::<Networks>(json!([bad])), None, "{bad:?}");
        }
        assert_eq!(read::<Networks>(json!(vec!["10.0.0.0/8"; 17])), None);
    }
}
