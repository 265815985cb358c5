//! Gives every request an id, which the answer, the access record and the backends' logs share.
//!
//! ```yaml
//! request_id:
//!   accept_inbound: true # the client's own id is kept when it is well-formed; default: false
//! ```
//!
//! Behind another gateway of ours the caller's id joins both logs. At the open internet leave it
//! out: a client that picks its id can make two requests look like one.

use http::{HeaderMap, HeaderName, HeaderValue};
use plugin_sdk::{BuildError, Env, Flow, Request, ResponseHead, Seen, Stage};
use schemars::JsonSchema;
use serde::Deserialize;

const HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// A longer id than this is not kept: it is copied into every log line.
const MAX_BYTES: usize = 64;

/// Where ids come from.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Keep the caller's `x-request-id` when there is one of 1 to 64 characters out of
    /// `A-Z a-z 0-9 . _ -`.
    #[serde(default)]
    pub accept_inbound: bool,
}

/// The plugin.
pub struct Plugin {
    accept_inbound: bool,
}

impl plugin_sdk::Plugin for Plugin {
    const NAME: &'static str = "request_id";
    const STAGE: Stage = Stage::Edge;
    type Config = Config;

    fn build(config: Config, _env: &Env) -> Result<Self, BuildError> {
        Ok(Self {
            accept_inbound: config.accept_inbound,
        })
    }

    fn request(&self, request: &mut Request<'_>) -> Flow {
        // The gateway has given the request an id already: there is nothing to make here.
        let inbound = request.head.single(&HEADER);
        if let Some(id) = inbound.filter(|id| self.accept_inbound && is_well_formed(id)) {
            id.clone_into(&mut request.facts.request_id);
        }
        Flow::Continue
    }

    fn upstream_request(&self, seen: &Seen<'_>, headers: &mut HeaderMap) {
        write(seen, headers);
    }

    fn response(&self, seen: &Seen<'_>, head: &mut ResponseHead) {
        // Replaces what the upstream may have said: one request has one id.
        write(seen, &mut head.headers);
    }
}

fn write(seen: &Seen<'_>, headers: &mut HeaderMap) {
    // The gateway's ids and those kept above are header values; no other gets in.
    if let Ok(id) = HeaderValue::from_str(&seen.facts.request_id) {
        headers.insert(HEADER, id);
    }
}

/// Nothing that a log, a shell or a header would read as more than a word.
fn is_well_formed(id: &str) -> bool {
    (1..=MAX_BYTES).contains(&id.len())
        && id
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}
