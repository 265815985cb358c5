use std::time::Duration;

use plugin_sdk::Chain;
use plugin_sdk::testing::{self, TestEnv, TestRequest, at_once};
use serde_json::{Value, json};

use super::*;

mod redis;

fn config() -> Value {
    json!({ "per": "ip", "failures": "3/15m", "penalty": { "from": "30s", "to": "100s" } })
}

fn chain(lent: &TestEnv, config: Value) -> Result<Chain, BuildError> {
    testing::chain::<Plugin>(config, &lent.env.named("limits.tries"))
}

/// One try, answered with a status by the upstream; what the client sees.
async fn answered(chain: &Chain, client: &str, status: u16) -> (u16, Option<String>) {
    let mut request = TestRequest::new("POST", "/v1/auth/login").from(client);
    let reply = request.run(chain).await;
    let status = reply.as_ref().map_or(status, |reply| reply.status.as_u16());
    let status = StatusCode::from_u16(status).expect("a status");
    let head = ResponseHead {
        status,
        ..ResponseHead::default()
    };
    let head = request.respond(chain, head);
    let wait = reply.and_then(|reply| {
        if reply.status == StatusCode::TOO_MANY_REQUESTS {
            assert_eq!(reply.code(), "too_many_failures");
        }
        let wait = reply.headers.get("retry-after")?;
        Some(wait.to_str().ok()?.to_owned())
    });
    (head.status.as_u16(), wait)
}

fn answer(chain: &Chain, client: &str, status: u16) -> (u16, Option<String>) {
    at_once(answered(chain, client, status))
}

fn wait(seconds: u64) -> (u16, Option<String>) {
    (429, Some(seconds.to_string()))
}

#[test]
fn who_keeps_failing_waits_longer_each_time() {
    let lent = TestEnv::default();
    let chain = chain(&lent, config()).expect("builds");
    for _ in 0..3 {
        assert_eq!(answer(&chain, "192.0.2.1", 401), (401, None));
    }
    assert_eq!(lent.meter.of("limits.tries", "penalty"), 1);
    for seconds in [30, 60, 100, 100] {
        // The right password would not help now.
        assert_eq!(answer(&chain, "192.0.2.1", 200), wait(seconds));
        assert_eq!(answer(&chain, "192.0.2.2", 401), (401, None), "another");
        lent.clock.advance(Duration::from_secs(seconds - 1));
        assert_eq!(answer(&chain, "192.0.2.1", 200), wait(1));
        lent.clock.advance(Duration::from_secs(1));
        assert_eq!(answer(&chain, "192.0.2.1", 401), (401, None));
    }
    // A quarter of an hour after the last wait it is forgotten.
    lent.clock.advance(Duration::from_secs(100 + 900));
    for _ in 0..3 {
        assert_eq!(answer(&chain, "192.0.2.1", 403), (403, None));
    }
    assert_eq!(answer(&chain, "192.0.2.1", 200), wait(30));
}

#[test]
fn failures_that_are_far_apart_come_to_nothing() {
    let lent = TestEnv::default();
    let chain = chain(&lent, config()).expect("builds");
    for _ in 0..20 {
        assert_eq!(answer(&chain, "192.0.2.1", 401), (401, None));
        lent.clock.advance(Duration::from_secs(451));
    }
}

#[test]
fn what_is_no_failure_is_not_counted() {
    let lent = TestEnv::default();
    let chain = chain(&lent, config()).expect("builds");
    for status in [422, 404, 500, 429, 422, 404] {
        assert_eq!(answer(&chain, "192.0.2.1", status).0, status);
    }
    assert_eq!(answer(&chain, "192.0.2.1", 200), (200, None));
}

/// A success forgives, and whoever has an account of their own can't guess at others' with it.
#[test]
fn a_success_clears_once_in_a_window() {
    let lent = TestEnv::default();
    let chain = chain(&lent, config()).expect("builds");
    let mut guesses = 0;
    for _ in 0..20 {
        for status in [401, 401, 200] {
            let (status, _) = answer(&chain, "192.0.2.1", status);
            guesses += usize::from(status == 401);
        }
    }
    assert_eq!(guesses, 5, "two, a pardon, and three");
}

/// Security case 32: guesses that come all at once are counted like any.
#[test]
fn gateway_32_tries_under_way_count_before_they_are_answered() {
    let lent = TestEnv::default();
    let chain = chain(&lent, config()).expect("builds");
    let mut under_way = Vec::new();
    for _ in 0..10 {
        let mut request = TestRequest::new("POST", "/v1/auth/login").from("192.0.2.1");
        if at_once(request.run(&chain)).is_none() {
            under_way.push(request);
        }
    }
    assert_eq!(under_way.len(), 3);
    // Whoever hangs up without an answer has not failed, and frees the place.
    drop(under_way);
    assert_eq!(answer(&chain, "192.0.2.1", 200), (200, None));
}

#[test]
fn a_penalty_that_could_be_turned_on_others_is_refused() {
    for (key, value, at) in [
        ("per", json!("header:x-account"), "per"),
        ("per", json!("route"), "per"),
        ("per", json!(["ip", "ip"]), "per"),
        ("failures", json!("101/1h"), "failures"),
        ("failures", json!("5/2d"), "failures"),
        (
            "penalty",
            json!({ "from": "0s", "to": "1h" }),
            "penalty.from",
        ),
        (
            "penalty",
            json!({ "from": "2h", "to": "1h" }),
            "penalty.from",
        ),
        ("penalty", json!({ "from": "2h", "to": "2d" }), "penalty.to"),
        ("statuses", json!([]), "statuses"),
        ("statuses", json!([401, 429]), "statuses.1"),
        ("statuses", json!([500]), "statuses.0"),
        ("scope", json!("cluster"), "on_outage"),
    ] {
        let mut config = config();
        config[key] = value;
        let error = chain(&TestEnv::default(), config.clone()).err();
        let error = error.unwrap_or_else(|| panic!("{config}"));
        assert_eq!(error.at.join("."), at, "{error}");
    }
}
