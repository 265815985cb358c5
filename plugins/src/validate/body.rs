use http::StatusCode;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use jsonschema::Validator;
use plugin_sdk::{BuildError, Head, Reply, parse_json};

use super::document::Operation;
use super::{MAX_ERRORS, describe};

/// Bodies nest no deeper.
const MAX_DEPTH: usize = 32;

/// Of a longer body only the first fault is looked for: thousands of small ones cost time each.
const LIST_FAULTS_BYTES: usize = 4 * 1024;

/// What a body must look like.
pub(super) struct BodyRule {
    pub(super) required: bool,
    /// The media types that it may have, in lower case.
    types: Vec<String>,
    schema: Validator,
}

/// What a head says of its body.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Absent,
    Json,
    Other,
}

impl BodyRule {
    /// The rule of an operation; `None` when it takes no body.
    pub(super) fn build(operation: &Operation<'_>) -> Result<Option<Self>, BuildError> {
        let body = operation.resolve(&operation.value["requestBody"])?;
        let Some(content) = body["content"].as_object() else {
            return Ok(None);
        };
        if content.is_empty() || !content.keys().all(|media| is_json(media)) {
            return Err(operation.fault("only JSON bodies can be judged"));
        }
        // The types of one body differ in name and not in shape; where they do differ, we can't tell.
        let mut schemas = content.values().map(|media| &media["schema"]);
        let schema = schemas.next().unwrap_or(&serde_json::Value::Null);
        if !schemas.all(|other| other == schema) {
            return Err(operation.fault("its media types have different schemas"));
        }
        if schema.is_null() {
            return Err(operation.fault("its body has no schema"));
        }
        Ok(Some(Self {
            required: body["required"] == true,
            types: content
                .keys()
                .map(|media| media.to_ascii_lowercase())
                .collect(),
            schema: operation.compile(schema, "its body")?,
        }))
    }

    /// What kind of body the head announces.
    pub(super) fn judge_head(&self, head: &Head<'_>, has_body: bool) -> Kind {
        if !has_body {
            return Kind::Absent;
        }
        // Compressed bytes are not judged here, so they don't get past.
        if head.headers.contains_key(CONTENT_ENCODING) {
            return Kind::Other;
        }
        match head.single(&CONTENT_TYPE) {
            Some(media) if self.takes(media) => Kind::Json,
            _ => Kind::Other,
        }
    }

    fn takes(&self, media: &str) -> bool {
        let mut parts = media.split(';').map(str::trim);
        let essence = parts.next().unwrap_or_default();
        // JSON is UTF-8 (RFC 8259 §8.1); who says something else means something else.
        let utf8 = parts.all(|parameter| match parameter.split_once('=') {
            // Lenient readers also know `charset =` and `charset*=`.
            Some((name, value)) if is_charset(name.trim_end_matches([' ', '\t', '*'])) => {
                value.trim_matches('"').eq_ignore_ascii_case("utf-8")
            }
            _ => true,
        });
        utf8 && self
            .types
            .iter()
            .any(|known| known.eq_ignore_ascii_case(essence))
    }

    /// The refusal of a body of another kind.
    pub(super) fn unsupported(&self) -> Reply {
        Reply::problem(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported_media_type",
            "The body's type is not taken here",
        )
        .detail(format!(
            "send {} in UTF-8, not compressed",
            self.types.join(" or ")
        ))
    }

    /// What is wrong with the body, as places in it and words.
    pub(super) fn judge(&self, bytes: &[u8]) -> Result<(), Vec<(String, String)>> {
        let value = parse_json(bytes, MAX_DEPTH)
            .map_err(|error| vec![(String::new(), error.to_string())])?;
        if self.schema.is_valid(&value) {
            return Ok(());
        }
        let named = |error: jsonschema::ValidationError<'_>| {
            (error.instance_path().to_string(), describe(&error))
        };
        Err(if bytes.len() <= LIST_FAULTS_BYTES {
            self.schema
                .iter_errors(&value)
                .take(MAX_ERRORS)
                .map(named)
                .collect()
        } else {
            self.schema
                .validate(&value)
                .err()
                .map(named)
                .into_iter()
                .collect()
        })
    }
}

fn is_charset(name: &str) -> bool {
    name.eq_ignore_ascii_case("charset")
}

fn is_json(media: &str) -> bool {
    let media = media.to_ascii_lowercase();
    media == "application/json" || (media.starts_with("application/") && media.ends_with("+json"))
}
