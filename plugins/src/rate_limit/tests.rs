use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use plugin_sdk::testing::{self, TestEnv, TestRequest, at_once};
use plugin_sdk::{Chain, Principal};
use serde_json::{Value, json};

use super::*;

mod redis;

fn chain(lent: &TestEnv, config: Value) -> Result<Chain, BuildError> {
    testing::chain::<Plugin>(config, &lent.env.named("limits.login"))
}

fn caller(sub: &str) -> Principal {
    Principal {
        sub: sub.into(),
        ..Principal::default()
    }
}

/// What became of a call: whether it passed, and its headers as text.
#[derive(Debug)]
struct Call {
    status: u16,
    retry_after: Option<String>,
    ratelimit: Vec<String>,
}

async fn call(chain: &Chain, mut request: TestRequest) -> Call {
    let reply = request.run(chain).await;
    let text = |value: &HeaderValue| value.to_str().expect("text").to_owned();
    Call {
        status: reply.as_ref().map_or(200, |reply| reply.status.as_u16()),
        retry_after: reply.and_then(|reply| reply.headers.get("retry-after").map(text)),
        ratelimit: request
            .facts
            .answer_headers
            .iter()
            .map(|(name, value)| format!("{name}: {}", text(value)))
            .collect(),
    }
}

fn from(client: &str) -> TestRequest {
    TestRequest::new("POST", "/v1/auth/login").from(client)
}

/// Statuses of as many calls, one after the other, at once.
fn calls(chain: &Chain, client: &str, count: usize) -> Vec<u16> {
    (0..count)
        .map(|_| at_once(call(chain, from(client))).status)
        .collect()
}

fn passed(statuses: &[u16]) -> usize {
    statuses.iter().filter(|status| **status == 200).count()
}

#[test]
fn a_sixth_login_in_a_minute_is_refused() {
    let lent = TestEnv::default();
    let chain = chain(&lent, json!({ "per": "ip", "rate": "5/1m" })).expect("builds");
    for left in [4, 3, 2, 1, 0] {
        let call = at_once(call(&chain, from("192.0.2.1")));
        assert_eq!(call.status, 200);
        let reset = 60 - 2 * (4 - left);
        assert_eq!(
            call.ratelimit,
            [
                format!("ratelimit: \"login\";r={left};t={reset}"),
                "ratelimit-policy: \"login\";q=5;w=60".to_owned(),
            ]
        );
        lent.clock.advance(Duration::from_secs(2));
    }
    // 10 s after the first: a bucket of five would have let this one pass at 12 s.
    for (advance, status, wait) in [
        (0, 429, Some("50")),
        (45, 429, Some("5")),
        (4, 429, Some("1")),
    ] {
        lent.clock.advance(Duration::from_secs(advance));
        let call = at_once(call(&chain, from("192.0.2.1")));
        assert_eq!(call.status, status);
        assert_eq!(call.retry_after.as_deref(), wait);
        assert_eq!(
            call.ratelimit[0],
            format!("ratelimit: \"login\";r=0;t={}", wait.expect("some"))
        );
    }
    // A minute after the first there is room for one again, and for no other.
    lent.clock.advance(Duration::from_secs(1));
    assert_eq!(calls(&chain, "192.0.2.1", 2), [200, 429]);
    assert_eq!(calls(&chain, "192.0.2.2", 1), [200]);
}

#[test]
fn no_window_holds_more_than_the_count() {
    let lent = TestEnv::default();
    let chain = chain(&lent, json!({ "per": "ip", "rate": "5/1s" })).expect("builds");
    let mut admitted = Vec::new();
    // Offered in a pattern that would get twice the count past a fixed window.
    for ms in (0..10_000_u64).step_by(7) {
        if passed(&calls(&chain, "192.0.2.1", usize::from(ms % 3 == 0))) == 1 {
            admitted.push(ms);
        }
        lent.clock.advance(Duration::from_millis(7));
    }
    for window in admitted.windows(6) {
        assert!(window[5] - window[0] >= 1_000, "{window:?}");
    }
    assert!(admitted.len() >= 45, "{} of at most 50", admitted.len());
}

#[test]
fn a_bucket_gives_a_burst_and_then_the_rate() {
    let lent = TestEnv::default();
    let config = json!({ "per": "ip", "rate": "50/1s", "burst": 100 });
    let chain = chain(&lent, config).expect("builds");
    assert_eq!(passed(&calls(&chain, "192.0.2.1", 150)), 100);
    let refused = at_once(call(&chain, from("192.0.2.1")));
    assert_eq!(refused.retry_after.as_deref(), Some("1"));
    assert_eq!(
        refused.ratelimit[1],
        "ratelimit-policy: \"login\";q=100;w=2"
    );
    lent.clock.advance(Duration::from_secs(1));
    assert_eq!(passed(&calls(&chain, "192.0.2.1", 100)), 50);
    lent.clock.advance(Duration::from_secs(60));
    assert_eq!(passed(&calls(&chain, "192.0.2.1", 150)), 100);
}

#[test]
fn a_bucket_holds_under_many_threads() {
    let lent = TestEnv::default();
    let config = json!({ "per": "ip", "rate": "1/1h", "burst": 1_0 });
    let chain = Arc::new(chain(&lent, config).expect("builds"));
    let threads: Vec<_> = (0..8)
        .map(|_| {
            let chain = Arc::clone(&chain);
            std::thread::spawn(move || passed(&calls(&chain, "192.0.2.1", 100)))
        })
        .collect();
    let total: usize = threads
        .into_iter()
        .map(|thread| thread.join().expect("a count"))
        .sum();
    assert_eq!(total, 10);
}

#[test]
fn a_network_of_ipv6_is_one_caller() {
    let lent = TestEnv::default();
    let chain = chain(&lent, json!({ "per": "ip", "rate": "1/1m" })).expect("builds");
    for (client, status) in [
        ("2001:db8:0:1::1", 200),
        ("2001:db8:0:1:ffff::2", 429),
        ("2001:db8:0:2::1", 200),
        ("192.0.2.1", 200),
        // The same IPv4 address, as a socket that speaks both writes it.
        ("::ffff:192.0.2.1", 429),
        ("192.0.2.2", 200),
    ] {
        assert_eq!(calls(&chain, client, 1), [status], "{client}");
    }
}

#[test]
fn a_user_is_counted_wherever_they_call_from() {
    let lent = TestEnv::default();
    let chain = chain(&lent, json!({ "per": "user", "rate": "1/1m" })).expect("builds");
    for (sub, client, status) in [
        ("u1", "192.0.2.1", 200),
        ("u1", "192.0.2.2", 429),
        ("u2", "192.0.2.1", 200),
    ] {
        let call = at_once(call(&chain, from(client).who(caller(sub))));
        assert_eq!(call.status, status);
    }
    assert_eq!(
        calls(&chain, "192.0.2.1", 1),
        [401],
        "nobody can't be counted"
    );
}

#[test]
fn addresses_are_counted_at_the_edge_and_users_later() {
    let lent = TestEnv::default();
    for (per, stage) in [("ip", Stage::Edge), ("user", Stage::Limit)] {
        let chain = chain(&lent, json!({ "per": per, "rate": "1/1m" })).expect("builds");
        assert_eq!(chain.links()[0].plugin.stage(), stage);
    }
}

#[test]
fn a_reload_keeps_counting_and_limits_count_apart() {
    let lent = TestEnv::default();
    let config = json!({ "per": "ip", "rate": "5/1m" });
    let first = chain(&lent, config.clone()).expect("builds");
    assert_eq!(passed(&calls(&first, "192.0.2.1", 9)), 5);
    let again = chain(&lent, config.clone()).expect("builds");
    drop(first);
    assert_eq!(passed(&calls(&again, "192.0.2.1", 9)), 0);
    let other = lent.env.named("limits.register");
    let other = testing::chain::<Plugin>(config, &other).expect("builds");
    assert_eq!(passed(&calls(&other, "192.0.2.1", 9)), 5);
}

#[test]
fn without_a_redis_each_gateway_counts_for_itself() {
    let lent = TestEnv::default();
    let config = json!({ "per": "ip", "rate": "5/1m", "scope": "cluster", "on_outage": "deny" });
    let chain = chain(&lent, config).expect("builds");
    assert_eq!(passed(&calls(&chain, "192.0.2.1", 9)), 5);
}

#[test]
fn a_limit_that_says_too_little_is_refused() {
    for (config, at) in [
        (
            json!({ "per": "ip", "rate": "5/1m", "scope": "cluster" }),
            "on_outage",
        ),
        (
            json!({ "per": "ip", "rate": "5/1m", "on_outage": "deny" }),
            "on_outage",
        ),
        (
            json!({ "per": "ip", "rate": "5/1m", "wait": "50ms" }),
            "wait",
        ),
        (
            json!({ "per": "ip", "rate": "5/1m", "scope": "cluster", "wait": "6s" }),
            "wait",
        ),
        (json!({ "per": "ip", "rate": "5" }), "rate"),
        (json!({ "per": "ip", "rate": "0/1m" }), "rate"),
        (json!({ "per": "ip", "rate": "-5/1m" }), "rate"),
        (json!({ "per": "ip", "rate": "5/0s" }), "rate"),
        (json!({ "per": "ip", "rate": "5/2d" }), "rate"),
        (json!({ "per": "ip", "rate": "1001/1m" }), "rate"),
        (
            json!({ "per": "ip", "rate": "1001/1ms", "burst": 1 }),
            "rate",
        ),
        (json!({ "per": "ip", "rate": "5/1m", "burst": 0 }), "burst"),
        (
            json!({ "per": "ip", "rate": "1/1h", "burst": 100 }),
            "burst",
        ),
        (json!({ "per": "host", "rate": "5/1m" }), "per"),
    ] {
        let error = chain(&TestEnv::default(), config).err().expect(at);
        assert_eq!(error.at.join("."), at, "{error}");
    }
}
