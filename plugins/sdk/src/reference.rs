use std::borrow::Cow;

use crate::Env;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;

/// Where a secret is: `$file:path` or `$env:NAME`. A secret itself never stands in the table.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "serde_json::Value")]
pub enum Reference {
    /// In a file; the path starts at the table's folder.
    File(String),
    /// In an environment variable.
    Variable(String),
}

/// Why a referenced secret could not be had. Never shows it.
#[derive(Debug, thiserror::Error)]
pub enum ReferenceError {
    /// The file could not be read.
    #[error("`{path}` can't be read: {source}")]
    File {
        /// As the table says it.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// The variable is not set.
    #[error("the environment variable `{0}` is not set")]
    Unset(String),
}

impl Reference {
    /// What it refers to.
    pub fn read(&self, env: &Env) -> Result<String, ReferenceError> {
        match self {
            Self::File(path) => {
                std::fs::read_to_string(env.path(path)).map_err(|source| ReferenceError::File {
                    path: path.clone(),
                    source,
                })
            }
            Self::Variable(name) => {
                std::env::var(name).map_err(|_| ReferenceError::Unset(name.clone()))
            }
        }
    }
}

impl TryFrom<serde_json::Value> for Reference {
    type Error = &'static str;

    fn try_from(value: serde_json::Value) -> Result<Self, &'static str> {
        let text = value.as_str().unwrap_or_default();
        if let Some(path) = text.strip_prefix("$file:").filter(|path| !path.is_empty()) {
            return Ok(Self::File(path.to_owned()));
        }
        if let Some(name) = text.strip_prefix("$env:").filter(|name| !name.is_empty()) {
            return Ok(Self::Variable(name.to_owned()));
        }
        // What stands there may be the secret, even as a number: it is not repeated.
        Err("expected `$file:path` or `$env:NAME`: secrets don't stand in the table")
    }
}

impl JsonSchema for Reference {
    fn schema_name() -> Cow<'static, str> {
        "Reference".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^\\$(file|env):.+$",
            "description": "`$file:path` or `$env:NAME`: a secret itself never stands here.",
        })
    }
}
