use std::borrow::Cow;
use std::fmt;

use plugin_sdk::Mode;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};

/// What requests are validated against: `openapi.json#createTransfer`, or a map that says more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Validation(pub Judgement);

/// What requests are validated against, and whether that counts.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Judgement {
    /// The document and the operation in it: `openapi.json#createTransfer`.
    pub operation: String,
    /// `shadow` refuses nothing and counts what it would have refused.
    #[serde(default)]
    pub mode: Mode,
}

impl<'de> Deserialize<'de> for Validation {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextOrMap;
        impl<'de> Visitor<'de> for TextOrMap {
            type Value = Validation;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("`document.json#operationId`, or a map with `operation`")
            }
            fn visit_str<E>(self, operation: &str) -> Result<Validation, E> {
                Ok(Validation(Judgement {
                    operation: operation.to_owned(),
                    mode: Mode::Enforce,
                }))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Validation, A::Error> {
                Judgement::deserialize(MapAccessDeserializer::new(map)).map(Validation)
            }
        }
        deserializer.deserialize_any(TextOrMap)
    }
}

impl JsonSchema for Validation {
    fn schema_name() -> Cow<'static, str> {
        "Validation".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let judgement = generator.subschema_for::<Judgement>();
        json_schema!({
            "description": "`document.json#operationId`, or a map with `operation`.",
            "anyOf": [{ "type": "string" }, judgement],
        })
    }
}
