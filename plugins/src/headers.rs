//! Sets and removes headers, on the way in and on the way out.
//!
//! ```yaml
//! headers:
//!   request:
//!     remove: [x-debug]
//!   response:
//!     set:
//!       strict-transport-security: max-age=31536000
//!       x-content-type-options: nosniff
//!     remove: [server, x-powered-by]
//! ```
//!
//! The headers that say who is calling and from where, where a message ends and which connection it
//! is on are the gateway's own, and refused here.

use std::collections::BTreeMap;

use http::{HeaderMap, HeaderName, HeaderValue};
use plugin_sdk::{BuildError, Env, ResponseHead, Seen, Stage};
use schemars::JsonSchema;
use serde::Deserialize;

/// Headers that the gateway writes or takes away itself, so that an edit would be in vain or worse:
/// identity and credentials, origin and trace, routing, framing, and those of one hop (RFC 9110
/// §7.6.1). The table's own names for who is calling come to that.
const OURS: [&str; 20] = [
    identity::HEADER,
    "authorization",
    "forwarded",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-real-ip",
    "traceparent",
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "keep-alive",
    "proxy-connection",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "trailer",
    "upgrade",
    "expect",
];

/// What to edit.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// On the head that the upstream gets.
    #[serde(default)]
    pub request: Edits,
    /// On the head of every answer, ours too.
    #[serde(default)]
    pub response: Edits,
}

/// Edits of one head.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Edits {
    /// Headers to write, in place of any of that name.
    #[serde(default)]
    pub set: BTreeMap<String, String>,
    /// Headers to take away.
    #[serde(default)]
    pub remove: Vec<String>,
}

/// The plugin.
pub struct Plugin {
    request: Edit,
    response: Edit,
}

struct Edit {
    set: Vec<(HeaderName, HeaderValue)>,
    remove: Vec<HeaderName>,
}

impl plugin_sdk::Plugin for Plugin {
    const NAME: &'static str = "headers";
    const STAGE: Stage = Stage::Shape;
    type Config = Config;

    fn build(config: Config, env: &Env) -> Result<Self, BuildError> {
        Ok(Self {
            request: Edit::build(&config.request, "request", env)?,
            response: Edit::build(&config.response, "response", env)?,
        })
    }

    fn upstream_request(&self, _seen: &Seen<'_>, headers: &mut HeaderMap) {
        self.request.apply(headers);
    }

    fn response(&self, _seen: &Seen<'_>, head: &mut ResponseHead) {
        self.response.apply(&mut head.headers);
    }
}

impl Edit {
    fn build(edits: &Edits, side: &str, env: &Env) -> Result<Self, BuildError> {
        let mut set = Vec::with_capacity(edits.set.len());
        for (name, value) in &edits.set {
            let at = format!("{side}.set.{name}");
            let header = editable(name, &at, env)?;
            let value = HeaderValue::from_str(value)
                .map_err(|_| BuildError::new(&at, "the value is not one that a header can have"))?;
            if set.iter().any(|(other, _)| *other == header) {
                return Err(BuildError::new(&at, "the header is set twice")
                    .hint("upper and lower case are one name"));
            }
            set.push((header, value));
        }
        let mut remove = Vec::with_capacity(edits.remove.len());
        for (index, name) in edits.remove.iter().enumerate() {
            let at = format!("{side}.remove.{index}");
            let header = editable(name, &at, env)?;
            if set.iter().any(|(other, _)| *other == header) {
                return Err(BuildError::new(&at, format!("`{header}` is set as well"))
                    .hint("setting a header replaces what was there"));
            }
            remove.push(header);
        }
        Ok(Self { set, remove })
    }

    fn apply(&self, headers: &mut HeaderMap) {
        for name in &self.remove {
            headers.remove(name);
        }
        for (name, value) in &self.set {
            // Both are shared: nothing is copied.
            headers.insert(name.clone(), value.clone());
        }
    }
}

fn editable(name: &str, at: &str, env: &Env) -> Result<HeaderName, BuildError> {
    let header: HeaderName = name
        .parse()
        .map_err(|_| BuildError::new(at, format!("`{name}` is no header name")))?;
    // Some servers read `x_user_id` as `x-user-id`.
    let read_as = |name: &str| name.replace(['_', '.'], "-");
    let read = read_as(header.as_str());
    let mut told = env.identity_headers.iter();
    if OURS.contains(&read.as_str()) || told.any(|name| read_as(name.as_str()) == read) {
        return Err(BuildError::new(
            at,
            format!("`{header}` is written by the gateway alone"),
        ));
    }
    Ok(header)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use plugin_sdk::Chain;
    use plugin_sdk::testing::{self, TestEnv, TestRequest};
    use serde_json::{Value, json};

    use super::*;

    fn chain(config: Value) -> Result<Chain, BuildError> {
        testing::chain::<Plugin>(config, &TestEnv::default().env)
    }

    #[test]
    fn each_side_is_edited_and_only_there() {
        let chain = chain(json!({
            "request": { "remove": ["x-debug"], "set": { "x-edge": "1" } },
            "response": { "remove": ["Server"], "set": { "X-Content-Type-Options": "nosniff" } },
        }))
        .expect("builds");
        let request = TestRequest::new("GET", "/")
            .header("x-debug", "1")
            .header("x-debug", "2")
            .header("x-edge", "forged")
            .header("server", "kept");
        let sent = request.upstream(&chain);
        assert!(!sent.contains_key("x-debug"));
        assert_eq!(sent.get_all("x-edge").iter().collect::<Vec<_>>(), ["1"]);
        assert_eq!(sent["server"], "kept");

        let mut head = ResponseHead::default();
        head.headers
            .insert("server", HeaderValue::from_static("nginx"));
        let answered = request.respond(&chain, head).headers;
        assert!(!answered.contains_key("server"));
        assert_eq!(answered["x-content-type-options"], "nosniff");
        assert!(!answered.contains_key("x-edge"));
    }

    #[test]
    fn what_the_gateway_writes_is_refused() {
        let mut lent = TestEnv::default();
        let told = [HeaderName::from_static("x-account_id")];
        lent.env.identity_headers = Arc::new(told);
        let chain = |config| testing::chain::<Plugin>(config, &lent.env);
        for name in [
            "x-identity",
            "X_Identity",
            "X-Account-Id",
            "x.account.id",
            "Host",
            "TE",
            "Content-Length",
            "Authorization",
            "X-Forwarded-For",
        ] {
            for side in ["request", "response"] {
                for edits in [json!({ "remove": [name] }), json!({ "set": { name: "1" } })] {
                    let error = chain(json!({ side: edits })).err().expect("a refusal");
                    assert!(error.to_string().contains("gateway alone"), "{error}");
                    assert_eq!(error.at[0], side);
                }
            }
        }
    }

    #[test]
    fn a_fault_is_named_with_its_place() {
        for (config, at) in [
            (
                json!({ "request": { "remove": ["a", "b c"] } }),
                "request.remove.1",
            ),
            (
                json!({ "response": { "set": { "a": "x\r\ny" } } }),
                "response.set.a",
            ),
            (
                json!({ "response": { "set": { "A": "1", "a": "1" } } }),
                "response.set.a",
            ),
            (
                json!({ "request": { "set": { "a": "1" }, "remove": ["A"] } }),
                "request.remove.0",
            ),
        ] {
            let error = chain(config).err().expect("a refusal");
            assert_eq!(error.at.join("."), at);
        }
    }
}
