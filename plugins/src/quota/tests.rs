use std::time::Duration;

use plugin_sdk::Principal;
use plugin_sdk::testing::{self, TestEnv, TestRequest, at_once};
use serde_json::{Value, json};

use super::*;

/// What a call is answered, and what the answer says of the quota.
fn call(chain: &plugin_sdk::Chain, sub: &str) -> (u16, Option<String>, String) {
    let who = Principal {
        sub: sub.into(),
        ..Principal::default()
    };
    let mut request = TestRequest::new("GET", "/v1/rates").who(who);
    let reply = at_once(request.run(chain));
    let text = |value: &http::HeaderValue| value.to_str().expect("text").to_owned();
    let said = &request.facts.answer_headers;
    let said = said
        .iter()
        .map(|(name, value)| format!("{name}: {}", text(value)));
    (
        reply.as_ref().map_or(200, |reply| reply.status.as_u16()),
        reply.and_then(|reply| reply.headers.get("retry-after").map(text)),
        said.collect::<Vec<_>>().join(", "),
    )
}

fn chain(lent: &TestEnv, config: Value) -> Result<plugin_sdk::Chain, BuildError> {
    testing::chain::<Plugin>(config, &lent.env.named("limits.plan"))
}

/// The clock of a test begins at midnight, on a Thursday.
#[test]
fn a_quota_begins_anew_with_the_day() {
    let lent = TestEnv::default();
    let chain = chain(&lent, json!({ "per": "user", "quota": "2/1d" })).expect("builds");
    lent.clock.advance(Duration::from_secs(20 * 3_600));
    for (status, wait, said) in [
        (200, None, "r=1;t=14400"),
        (200, None, "r=0;t=14400"),
        (429, Some("14400"), "r=0;t=14400"),
    ] {
        let (got, retry, headers) = call(&chain, "u1");
        assert_eq!((got, retry.as_deref()), (status, wait));
        assert_eq!(
            headers,
            format!("ratelimit: \"plan\";{said}, ratelimit-policy: \"plan\";q=2;w=86400")
        );
    }
    assert_eq!(call(&chain, "u2").0, 200);
    lent.clock.advance(Duration::from_secs(4 * 3_600 - 1));
    assert_eq!(call(&chain, "u1").0, 429, "a second before midnight");
    lent.clock.advance(Duration::from_secs(1));
    assert_eq!(call(&chain, "u1").0, 200, "at midnight");
}

#[test]
fn a_week_begins_on_monday() {
    let lent = TestEnv::default();
    let chain = chain(&lent, json!({ "per": "user", "quota": "1/7d" })).expect("builds");
    assert_eq!(call(&chain, "u1").0, 200);
    lent.clock.advance(Duration::from_secs(4 * 86_400 - 1));
    assert_eq!(call(&chain, "u1").0, 429, "on Sunday");
    lent.clock.advance(Duration::from_secs(1));
    assert_eq!(call(&chain, "u1").0, 200, "on Monday");
}

#[test]
fn a_quota_that_follows_no_calendar_is_refused() {
    for (config, at) in [
        (json!({ "per": "user", "quota": "5/5h" }), "quota"),
        (json!({ "per": "user", "quota": "5/30d" }), "quota"),
        (json!({ "per": "user", "quota": "5/10s" }), "quota"),
        (json!({ "per": "user", "quota": "0/1d" }), "quota"),
        (
            json!({ "per": "user", "quota": "5/1d", "exact": true }),
            "exact",
        ),
        (
            json!({ "per": "user", "quota": "5/1d", "scope": "cluster" }),
            "on_outage",
        ),
    ] {
        let error = chain(&TestEnv::default(), config.clone()).err();
        let error = error.unwrap_or_else(|| panic!("{config}"));
        assert_eq!(error.at.join("."), at, "{error}");
    }
}
