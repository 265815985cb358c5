use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Unexpected, Visitor};

/// What a header or a parameter must be: `"1"`, `["1", "2"]` (one of them) or `{ present: true }`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// There once, with one of these values.
    OneOf(Vec<String>),
    /// There.
    Present,
}

const EXPECTED: &str = "a value in quotes, a list of values, or `{ present: true }`";

impl<'de> Deserialize<'de> for Wanted {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ValueOrPresence;
        impl<'de> Visitor<'de> for ValueOrPresence {
            type Value = Wanted;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(EXPECTED)
            }
            fn visit_str<E>(self, value: &str) -> Result<Wanted, E> {
                Ok(Wanted::OneOf(vec![value.to_owned()]))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Wanted, A::Error> {
                let mut values = Vec::new();
                while let Some(value) = seq.next_element()? {
                    values.push(value);
                }
                if values.is_empty() {
                    return Err(A::Error::invalid_length(0, &self));
                }
                Ok(Wanted::OneOf(values))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Wanted, A::Error> {
                #[derive(serde::Deserialize)]
                #[serde(deny_unknown_fields)]
                struct Presence {
                    present: bool,
                }
                match Presence::deserialize(MapAccessDeserializer::new(map))?.present {
                    true => Ok(Wanted::Present),
                    // The route without the condition takes those.
                    false => Err(A::Error::invalid_value(Unexpected::Bool(false), &self)),
                }
            }
        }
        deserializer.deserialize_any(ValueOrPresence)
    }
}

impl JsonSchema for Wanted {
    fn schema_name() -> Cow<'static, str> {
        "Wanted".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "`\"1\"`, `[\"1\", \"2\"]` (one of them) or `{ present: true }`.",
            "anyOf": [
                { "type": "string" },
                { "type": "array", "items": { "type": "string" }, "minItems": 1 },
                {
                    "type": "object",
                    "properties": { "present": { "const": true } },
                    "required": ["present"],
                    "additionalProperties": false,
                },
            ],
        })
    }
}
