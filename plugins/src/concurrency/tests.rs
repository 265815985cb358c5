use plugin_sdk::testing::{self, TestEnv, TestRequest, at_once};
use plugin_sdk::{Chain, Link, Mode};
use serde_json::{Value, json};

use super::*;

fn chain(lent: &TestEnv, config: Value) -> Result<Chain, BuildError> {
    testing::chain::<Plugin>(config, &lent.env.named("limits.exports"))
}

/// A call that is under way as long as it is kept, and its status.
fn call(chain: &Chain, client: &str) -> (TestRequest, u16) {
    let mut request = TestRequest::new("GET", "/v1/export").from(client);
    let reply = at_once(request.run(chain));
    let status = reply.map_or(200, |reply| {
        assert_eq!(reply.code(), "too_many_at_once");
        assert_eq!(reply.headers["retry-after"], "1");
        reply.status.as_u16()
    });
    (request, status)
}

#[test]
fn a_third_call_at_once_is_refused_until_one_has_ended() {
    let lent = TestEnv::default();
    let chain = chain(&lent, json!({ "per": "ip", "concurrent": 2 })).expect("builds");
    let (first, status) = call(&chain, "192.0.2.1");
    assert_eq!(status, 200);
    let said: Vec<_> = first
        .facts
        .answer_headers
        .iter()
        .map(|(_, value)| value)
        .collect();
    assert_eq!(
        said,
        [
            "\"exports\";r=1",
            "\"exports\";q=2;qu=\"concurrent-requests\""
        ]
    );
    let (second, status) = call(&chain, "192.0.2.1");
    assert_eq!(status, 200);
    for _ in 0..3 {
        // Who is refused takes no place, however long the refusal is on its way.
        assert_eq!(call(&chain, "192.0.2.1").1, 429);
    }
    assert_eq!(call(&chain, "192.0.2.2").1, 200, "another caller");
    drop(second);
    let (_third, status) = call(&chain, "192.0.2.1");
    assert_eq!(status, 200);
    assert_eq!(call(&chain, "192.0.2.1").1, 429);
    drop(first);
    assert_eq!(call(&chain, "192.0.2.1").1, 200);
}

#[test]
fn what_is_under_way_outlives_a_reload() {
    let lent = TestEnv::default();
    let old = chain(&lent, json!({ "per": "ip", "concurrent": 1 })).expect("builds");
    let (_first, status) = call(&old, "192.0.2.1");
    assert_eq!(status, 200);
    let new = chain(&lent, json!({ "per": "ip", "concurrent": 2 })).expect("builds");
    drop(old);
    let (_second, status) = call(&new, "192.0.2.1");
    assert_eq!(status, 200);
    assert_eq!(call(&new, "192.0.2.1").1, 429);
}

#[test]
fn in_shadow_it_counts_what_is_under_way_all_the_same() {
    let lent = TestEnv::default();
    let chain = chain(&lent, json!({ "per": "ip", "concurrent": 1 })).expect("builds");
    let link = chain.links()[0].clone();
    let chain = Chain::new(vec![Link {
        mode: Mode::Shadow,
        ..link
    }]);
    let (first, status) = call(&chain, "192.0.2.1");
    assert_eq!((status, first.facts.would_deny.len()), (200, 0));
    let (second, status) = call(&chain, "192.0.2.1");
    assert_eq!((status, second.facts.would_deny.len()), (200, 1));
}

/// What the room's doc says of wrong refusals.
#[test]
fn a_crowd_of_others_is_hardly_mistaken_for_one_caller() {
    for (concurrent, most) in [(1, 150), (3, 0)] {
        let lent = TestEnv::default();
        let config = json!({ "per": "header:x-tenant", "concurrent": concurrent });
        let chain = chain(&lent, config).expect("builds");
        let mut under_way = Vec::new();
        let mut refused = 0;
        for tenant in 0..5_000 {
            let mut request = TestRequest::new("GET", "/").header("x-tenant", &tenant.to_string());
            let wrongly = at_once(request.run(&chain)).is_some();
            refused += usize::from(wrongly && under_way.len() >= 4_000);
            under_way.push(request);
        }
        assert!(refused <= most, "{refused} of 1000 where {concurrent} may");
    }
}
