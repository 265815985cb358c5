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

#[cfg(test)]
mod tests {
    use plugin_sdk::Chain;
    use plugin_sdk::testing::{self, TestEnv, TestRequest, at_once};
    use serde_json::json;

    use super::*;

    fn chain(accept_inbound: bool) -> Chain {
        let config = json!({ "accept_inbound": accept_inbound });
        testing::chain::<Plugin>(config, &TestEnv::default().env).expect("builds")
    }

    /// The id that a request with this header goes on with; the gateway's own is `test-request`.
    fn check(accept_inbound: bool, inbound: &str) -> String {
        let mut request = TestRequest::new("GET", "/").header("x-request-id", inbound);
        let refusal = at_once(request.run(&chain(accept_inbound)));
        assert!(refusal.is_none(), "an id is no reason to refuse");
        request.facts.request_id
    }

    #[test]
    fn a_callers_id_is_kept_only_where_callers_are_believed() {
        assert_eq!(check(true, "abc-123"), "abc-123");
        assert_eq!(check(false, "abc-123"), "test-request");
    }

    #[test]
    fn an_id_is_a_word() {
        for word in [
            "a",
            "0192f0c1-7d3e-7a10-9d7c-0242ac120002",
            "A.b_c-9",
            &"x".repeat(64),
        ] {
            assert_eq!(check(true, word), word);
        }
        for odd in [
            "",
            "a b",
            "a;b",
            "a/b",
            "${jndi:x}",
            "\t",
            "\"",
            &"x".repeat(65),
        ] {
            assert_eq!(check(true, odd), "test-request", "{odd:?}");
        }
    }

    #[test]
    fn of_two_ids_none_is_believed() {
        let mut request = TestRequest::new("GET", "/")
            .header("x-request-id", "one")
            .header("x-request-id", "two");
        at_once(request.run(&chain(true)));
        assert_eq!(request.facts.request_id, "test-request");
    }

    #[test]
    fn upstream_and_answer_carry_one_id() {
        let chain = chain(false);
        let request = TestRequest::new("GET", "/")
            .header("x-request-id", "from-the-client")
            .header("x-request-id", "twice");
        let sent = request.upstream(&chain);
        assert_eq!(ids(&sent), ["test-request"]);

        let mut head = ResponseHead::default();
        head.headers
            .insert(HEADER, HeaderValue::from_static("from-the-upstream"));
        let answered = request.respond(&chain, head);
        assert_eq!(ids(&answered.headers), ["test-request"]);
    }

    fn ids(headers: &HeaderMap) -> Vec<&HeaderValue> {
        headers.get_all(HEADER).iter().collect()
    }
}
