use serde_json::{Number, Value};

use super::super::document::Document;

/// Schemas within schemas are looked into this deep for a type.
const MAX_DEPTH: usize = 8;

/// What a parameter's text may stand for: in a URL all is text, in a schema it is not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Scalar {
    number: bool,
    boolean: bool,
}

impl Scalar {
    /// What the schema lets it be.
    pub(super) fn of(document: &Document, schema: &Value) -> Self {
        let mut scalar = Self::default();
        scalar.look(document, schema, MAX_DEPTH);
        scalar
    }

    fn look(&mut self, document: &Document, schema: &Value, depth: usize) {
        let (Some(schema), Some(depth)) = (document.resolve(schema), depth.checked_sub(1)) else {
            return;
        };
        let types = match &schema["type"] {
            Value::Array(types) => types.as_slice(),
            one => std::slice::from_ref(one),
        };
        for name in types.iter().filter_map(Value::as_str) {
            match name {
                "integer" | "number" => self.number = true,
                "boolean" => self.boolean = true,
                _ => {}
            }
        }
        for value in schema["enum"]
            .as_array()
            .into_iter()
            .flatten()
            .chain(schema.get("const"))
        {
            self.number |= value.is_number();
            self.boolean |= value.is_boolean();
        }
        for key in ["allOf", "anyOf", "oneOf"] {
            for inner in schema[key].as_array().into_iter().flatten() {
                self.look(document, inner, depth);
            }
        }
    }

    /// The value that the text stands for; text where it can be nothing else.
    pub(super) fn read(self, text: &str) -> Value {
        // JSON's numbers and no others: no `+5`, `05`, `0x5`, ` 5`.
        let starts_number = text.starts_with(|c: char| c == '-' || c.is_ascii_digit());
        if self.number
            && starts_number
            && let Ok(number) = serde_json::from_str::<Number>(text)
        {
            return Value::Number(number);
        }
        match text {
            "true" | "false" if self.boolean => Value::Bool(text == "true"),
            _ => Value::String(text.to_owned()),
        }
    }
}
