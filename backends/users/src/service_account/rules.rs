//! What a service account may be called, and may ask for.

use serde::Deserialize;
use utoipa::ToSchema;

/// The longest name, in characters.
const MAX_NAME: usize = 64;
/// The most scopes, and the most roles, that one may ask for.
const MAX_NAMES: usize = 16;

/// What it is called: one line of up to 64 characters.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(try_from = "String")]
#[schema(as = ServiceAccountName, value_type = String, min_length = 1, max_length = 64, example = "nightly settlement")]
pub(super) struct Name(String);

/// Names of scopes or roles: up to 16.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(try_from = "Vec<String>")]
#[schema(value_type = Vec<String>, max_items = 16, example = json!(["wallets:read"]))]
pub(super) struct Names(Vec<String>);

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

impl TryFrom<Vec<String>> for Names {
    type Error = &'static str;

    fn try_from(mut names: Vec<String>) -> Result<Self, Self::Error> {
        if names.len() > MAX_NAMES {
            return Err("expected up to 16 names");
        }
        names.sort_unstable();
        names.dedup();
        Ok(Self(names))
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0
    }
}

impl From<Names> for Vec<String> {
    fn from(names: Names) -> Self {
        names.0
    }
}
