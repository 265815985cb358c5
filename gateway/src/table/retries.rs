use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Unexpected, Visitor};

/// When a request is sent again: `none`, or `{ on: [connect], attempts: 1 }`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Retries {
    /// Never.
    None,
    /// On these faults.
    On(RetryOn),
}

/// On which faults a request is sent again, and how often.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RetryOn {
    /// The faults. What may have reached the upstream is never repeated.
    pub on: Vec<Fault>,
    /// How many more attempts follow; at most 3.
    pub attempts: u32,
}

/// A fault after which a request may be sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// No connection could be made: the upstream has seen nothing.
    Connect,
}

impl<'de> Deserialize<'de> for Retries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NoneOrOn;
        impl<'de> Visitor<'de> for NoneOrOn {
            type Value = Retries;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("`none` or `{ on: [connect], attempts: 1 }`")
            }
            fn visit_str<E: Error>(self, word: &str) -> Result<Retries, E> {
                match word {
                    "none" => Ok(Retries::None),
                    _ => Err(E::invalid_value(Unexpected::Str(word), &self)),
                }
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Retries, A::Error> {
                RetryOn::deserialize(MapAccessDeserializer::new(map)).map(Retries::On)
            }
        }
        deserializer.deserialize_any(NoneOrOn)
    }
}

impl JsonSchema for Retries {
    fn schema_name() -> Cow<'static, str> {
        "Retries".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let on = generator.subschema_for::<RetryOn>();
        json_schema!({
            "description": "`none`, or `{ on: [connect], attempts: 1 }`.",
            "anyOf": [{ "const": "none" }, on],
        })
    }
}
