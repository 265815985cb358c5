use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Unexpected, Visitor};

/// Where a plain listener sends its clients: `https`, or `https:8443` for another port than 443.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ToHttps {
    /// The port.
    pub port: u16,
}

const EXPECTED: &str = "`https`, or `https:8443` with a port";

impl ToHttps {
    fn parse(text: &str) -> Option<Self> {
        let port = match text.strip_prefix("https")? {
            "" => 443,
            port => port
                .strip_prefix(':')?
                .parse()
                .ok()
                .filter(|port| *port > 0)?,
        };
        Some(Self { port })
    }
}

impl<'de> Deserialize<'de> for ToHttps {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = ToHttps;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(EXPECTED)
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<ToHttps, E> {
                ToHttps::parse(text).ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

impl JsonSchema for ToHttps {
    fn schema_name() -> Cow<'static, str> {
        "ToHttps".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^https(:[0-9]+)?$",
            "description": format!("{EXPECTED}."),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_https_and_perhaps_a_port() {
        for (text, port) in [
            ("https", Some(443)),
            ("https:8443", Some(8443)),
            ("https:0", None),
            ("https:", None),
            ("https:65536", None),
            ("http", None),
            ("https://a", None),
        ] {
            assert_eq!(ToHttps::parse(text).map(|to| to.port), port, "{text}");
        }
    }
}
