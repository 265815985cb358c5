use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};

/// Where requests go: an upstream, or several with a weight each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// All to one.
    One(String),
    /// By weight.
    Shares(BTreeMap<String, u32>),
}

impl<'de> Deserialize<'de> for Destination {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrShares;
        impl<'de> Visitor<'de> for OneOrShares {
            type Value = Destination;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(
                    "an upstream's name, or names with weights: `{ users: 95, users_next: 5 }`",
                )
            }
            fn visit_str<E>(self, name: &str) -> Result<Destination, E> {
                Ok(Destination::One(name.to_owned()))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Destination, A::Error> {
                let mut shares = BTreeMap::new();
                while let Some((name, weight)) = map.next_entry()? {
                    shares.insert(name, weight);
                }
                Ok(Destination::Shares(shares))
            }
        }
        deserializer.deserialize_any(OneOrShares)
    }
}

impl JsonSchema for Destination {
    fn schema_name() -> Cow<'static, str> {
        "Destination".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "An upstream's name, or names with weights: `{ users: 95, users_next: 5 }`.",
            "anyOf": [
                { "type": "string" },
                {
                    "type": "object",
                    "additionalProperties": { "type": "integer", "minimum": 0, "maximum": 10000 },
                    "minProperties": 1,
                },
            ],
        })
    }
}
