//! Refuses requests that the backend's OpenAPI document does not describe.
//!
//! A route says it as `validate: openapi.json#createTransfer`, or as a map with `operation` and
//! `mode`; the plugin gets its parts:
//!
//! ```yaml
//! validate:
//!   document: openapi.json # OpenAPI 3.1, as JSON
//!   operation: createTransfer # its operationId
//! ```
//!
//! Judged are the parameters in path, query, headers and cookies, and a JSON body of at most 64 KiB.
//! The path is the one that the upstream gets: where a route rewrites it, the operation's is what it
//! is rewritten to. What the document does not name is refused in the query and let through in
//! headers and cookies. A parameter with a default may be left out, whatever `required` says. A
//! pattern that could take more than linear time, and a reference that leads out of the document, are
//! refused when the table is loaded.
//!
//! A body is read in one way only: no member twice, nested at most 32 deep, UTF-8 without a byte
//! order mark, not compressed. What passes is sent on byte for byte.

use std::path::PathBuf;
use std::sync::Arc;

use http::StatusCode;
use plugin_sdk::{BodyError, BuildError, Env, Flow, Later, Reply, Request, Stage};
use schemars::JsonSchema;
use serde::Deserialize;

mod body;
mod document;
mod parameter;

use body::{BodyRule, Kind};
use document::Document;
use parameter::{Fault, Parameters};

/// The longest body that is judged, in bytes. A longer one is refused.
const MAX_BODY_BYTES: usize = 64 * 1024;

/// An answer names at most this many faults.
const MAX_ERRORS: usize = 5;

/// What a request must look like.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// An OpenAPI 3.1 document as JSON; the path starts at the route table's folder.
    pub document: PathBuf,
    /// The `operationId` in it.
    pub operation: String,
}

/// The plugin.
pub struct Plugin {
    parameters: Parameters,
    body: Option<BodyRule>,
    /// Held for the next routes and reloads, which would parse it anew.
    _document: Arc<Document>,
}

impl plugin_sdk::Plugin for Plugin {
    const NAME: &'static str = "validate";
    const STAGE: Stage = Stage::Shape;
    type Config = Config;

    fn build(config: Config, env: &Env) -> Result<Self, BuildError> {
        let document = Document::read(&env.path(&config.document), env)?;
        let operation = document.operation(&config.operation)?;
        Ok(Self {
            parameters: Parameters::build(&operation)?,
            body: BodyRule::build(&operation)?,
            _document: document.clone(),
        })
    }

    fn request(&self, request: &mut Request<'_>) -> Flow {
        let faults = self.parameters.judge(&request.head);
        if !faults.is_empty() {
            return refuse(bad_request(faults));
        }
        let Some(rule) = &self.body else {
            // Whether there is a body at all is seen by reading it: a length of 0 is none.
            return if request.has_body() {
                Flow::Wait
            } else {
                Flow::Continue
            };
        };
        match rule.judge_head(&request.head, request.has_body()) {
            Kind::Absent if rule.required => refuse(bad_body("the body is missing")),
            Kind::Absent => Flow::Continue,
            Kind::Json => Flow::Wait,
            Kind::Other => refuse(rule.unsupported()),
        }
    }

    fn request_wait<'a>(&'a self, request: &'a mut Request<'_>) -> Later<'a> {
        Box::pin(async {
            let bytes = match request.body(MAX_BODY_BYTES).await {
                Ok(bytes) => bytes,
                Err(error @ BodyError::TooLong { .. }) => {
                    return refuse(
                        Reply::problem(
                            StatusCode::PAYLOAD_TOO_LARGE,
                            "payload_too_large",
                            "The body is too large",
                        )
                        .detail(error.to_string()),
                    );
                }
                Err(BodyError::Incomplete) => {
                    return refuse(bad_body("the body did not arrive whole"));
                }
            };
            match &self.body {
                None if bytes.is_empty() => Flow::Continue,
                None => refuse(bad_body("this operation takes no body")),
                Some(rule) if bytes.is_empty() && !rule.required => Flow::Continue,
                Some(rule) => match rule.judge(&bytes) {
                    Ok(()) => Flow::Continue,
                    Err(errors) => {
                        refuse(bad_body("the body is not what this operation takes").errors(errors))
                    }
                },
            }
        })
    }
}

fn refuse(reply: Reply) -> Flow {
    Flow::Reply(Box::new(reply))
}

fn bad_request(faults: Vec<Fault>) -> Reply {
    // A header with a code of its own: a client that forgot it must learn that before all else.
    let code = faults.iter().find_map(|fault| fault.code);
    let errors = faults.into_iter().map(|fault| (fault.at, fault.detail));
    Reply::problem(
        StatusCode::BAD_REQUEST,
        code.unwrap_or("bad_request"),
        "The request is not what this operation takes",
    )
    .errors(errors.take(MAX_ERRORS).collect())
}

fn bad_body(detail: &str) -> Reply {
    Reply::problem(StatusCode::BAD_REQUEST, "bad_body", "The body is bad").detail(detail)
}

/// What is wrong with a value, as its schema has it: nothing of the value, and not for ever.
fn describe(error: &jsonschema::ValidationError<'_>) -> String {
    const MAX_CHARS: usize = 200;
    let mut text = error.masked().to_string();
    if let Some((end, _)) = text.char_indices().nth(MAX_CHARS) {
        text.truncate(end);
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests;
