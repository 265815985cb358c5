//! What becomes of requests besides going on as they came.

use std::sync::Arc;
use std::time::Instant;

use identity::KeyRing;
use tokio::sync::Semaphore;

use crate::stage::{Answer, Asked, KEY, Origin, Stage, Wire};

fn audience(asked: &Asked, upstream: &str) -> identity::Statement {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    let keys = KeyRing::parse(KEY).unwrap();
    let now = i64::try_from(now.as_secs()).unwrap();
    let sealed = asked.headers["x-identity"].to_str().unwrap();
    identity::open(&keys, sealed, upstream, now).unwrap()
}

const REWRITTEN: &str = "
auth:
  who: { test_who: {} }
routes:
  - { id: admin, match: { method: GET, path: /admin/** }, to: origin, auth: who }
  - { id: api, match: { method: GET, path: /api/** }, to: origin, auth: none, why_public: a test, strip_prefix: /api }
  - { id: inner, match: { method: [GET, POST], path: '/v1/{kind}/{id}' }, to: origin, auth: who, rewrite: '/internal/{id}/{kind}' }
";

/// A prefix is cut off by whole segments of the one canonical path, and what goes on is canonical.
#[tokio::test]
async fn gateway_16_a_prefix_is_cut_off_by_whole_segments() {
    let stage = Stage::open(REWRITTEN).await;
    for (target, status) in [
        ("/api../admin/x", 404),
        ("/api..%2fadmin/x", 400),
        ("/api/../admin/x", 400),
        ("/api/%2e%2e/admin/x", 400),
        ("/api//admin/x", 400),
        ("/api/", 400),
        ("/apis/x", 404),
        ("/admin/x", 401),
    ] {
        assert_eq!(stage.get(target, "").await.status, status, "{target}");
    }
    assert!(stage.origin.is_unasked().await);
    for (target, forwarded) in [
        ("/api", "/"),
        ("/api/x?a=..%2f", "/x?a=..%2f"),
        ("/%61pi/%7Ex", "/~x"),
        ("/api/api/x", "/api/x"),
    ] {
        assert_eq!(stage.get(target, "").await.status, 200, "{target}");
        assert_eq!(stage.origin.asked().await.target, forwarded, "{target}");
    }
}

#[tokio::test]
async fn a_rewritten_path_is_the_upstreams_alone() {
    let stage = Stage::open(REWRITTEN).await;
    let who = "x-test-user: u1\r\n";
    let answer = stage.get("/v1/caf%c3%a9/7?x=1", who).await;
    assert_eq!(answer.status, 200);
    let asked = stage.origin.asked().await;
    assert_eq!(asked.target, "/internal/7/caf%C3%A9?x=1");
    let statement = audience(&asked, "origin");
    assert_eq!(
        (
            statement.route.as_str(),
            statement.who.unwrap().sub.as_str()
        ),
        ("inner", "u1")
    );
    let records = stage.records().await;
    assert_eq!(
        records[0]["path"], "/v1/caf%C3%A9/7",
        "what was asked for is written down"
    );
}

const DESCRIBED: &str = r#"{ "openapi": "3.1.0", "paths": { "/internal/{number}": { "get": {
  "operationId": "read",
  "parameters": [{ "name": "number", "in": "path", "required": true, "schema": { "type": "integer" } }]
} } } }"#;

/// The backend's document describes the backend's paths.
#[tokio::test]
async fn a_rewritten_path_is_judged_as_the_upstream_gets_it() {
    let stage = Stage::open(crate::stage::OPEN).await;
    stage.file("openapi.json", DESCRIBED);
    let validate = "validate: openapi.json#read";
    let rest = format!(
        "routes:
  - {{ id: to, match: {{ method: GET, path: '/v1/{{id}}/x' }}, to: origin, auth: none, why_public: a test, rewrite: '/internal/{{id}}', {validate} }}
  - {{ id: strip, match: {{ method: GET, path: '/api/internal/{{id}}' }}, to: origin, auth: none, why_public: a test, strip_prefix: /api, {validate} }}
  - {{ id: as-it-is, match: {{ method: GET, path: '/internal/{{id}}' }}, to: origin, auth: none, why_public: a test, {validate} }}
"
    );
    stage.reload("", &rest).await;
    for (target, status) in [
        ("/v1/7/x", 200),
        ("/v1/seven/x", 400),
        ("/api/internal/7", 200),
        ("/api/internal/seven", 400),
        ("/internal/7", 200),
    ] {
        assert_eq!(stage.get(target, "").await.status, status, "{target}");
    }
}

async fn two(rest: &str) -> (Stage, Origin) {
    let other = Origin::start(|_| Answer::ok("other").status(500)).await;
    let upstream = format!("  other: {{ targets: [\"http://{}\"] }}\n", other.address);
    let origin = Origin::start(Answer::echo).await;
    let stage = Stage::before(origin, "", &(upstream + rest)).await;
    (stage, other)
}

/// Gateway API: `httproute-weight`; and whoever is known stays where they are.
#[tokio::test]
async fn weights_share_callers_out_and_each_stays() {
    let (stage, other) = two(
        "auth:\n  who: { test_who: {} }\nroutes:\n  \
         - { id: split, match: { method: GET, path: /** }, to: { origin: 70, other: 30 }, auth: who }\n",
    )
    .await;
    let mut moved = 0;
    for user in 0..100 {
        let who = format!("x-test-user: user-{user}\r\n");
        let first = stage.get("/a", &who).await.status;
        assert_eq!(stage.get("/b", &who).await.status, first, "{who} moved");
        moved += i32::from(first == 500);
    }
    // The draw is by hash, so the count is the same on every run.
    assert!((20..40).contains(&moved), "{moved} of 100 went to `other`");
    assert_eq!(audience(&other.asked().await, "other").route, "split");
    assert_eq!(
        audience(&stage.origin.asked().await, "origin").route,
        "split"
    );
    let records = stage.records().await;
    let told = records
        .iter()
        .filter(|record| record["upstream"] == "other");
    assert_eq!(i32::try_from(told.count()).unwrap(), 2 * moved);
}

#[tokio::test]
async fn a_client_that_is_not_known_stays_too() {
    let (stage, _other) = two(
        "routes:\n  - { id: split, match: { method: GET, path: /** }, to: { origin: 1, other: 1 }, \
         auth: none, why_public: a test }\n",
    )
    .await;
    let first = stage.get("/0", "").await.status;
    for n in 1..20 {
        assert_eq!(stage.get(&format!("/{n}"), "").await.status, first);
    }
}

/// Gateway API: `httproute-header-matching`, `httproute-query-param-matching`.
#[tokio::test]
async fn a_canary_is_chosen_by_a_header() {
    let (stage, _other) = two(
        "routes:
  - { id: old, match: { method: GET, path: /a }, to: origin, auth: none, why_public: a test }
  - { id: new, match: { method: GET, path: /a, headers: { x-beta: '1' } }, to: other, auth: none, why_public: a test }
  - { id: v2, match: { method: GET, path: /a, headers: { x-beta: '1' }, query: { v: '2' } }, to: origin, auth: none, why_public: a test }
  - { id: only, match: { method: GET, path: /only, headers: { x-beta: { present: true } } }, to: other, auth: none, why_public: a test }
  - { id: rest, match: { method: GET, path: /** }, to: origin, auth: none, why_public: a test }
",
    )
    .await;
    for (target, headers, status) in [
        ("/a", "", 200),
        ("/a", "x-beta: 1\r\n", 500),
        ("/a", "X-BETA: 1\r\n", 500),
        ("/a", "x-beta: 2\r\n", 200),
        ("/a", "x-beta: 1\r\nx-beta: 1\r\n", 400),
        ("/a?v=2&v=2", "x-beta: 1\r\n", 400),
        ("/a?v=2", "x-beta: 1\r\n", 200),
        ("/a?%76=%32", "x-beta: 1\r\n", 200),
        ("/only", "x-beta: anything\r\n", 500),
        // Never on to the wider path.
        ("/only", "", 404),
    ] {
        let answer = stage.get(target, headers).await;
        assert_eq!(answer.status, status, "{target} {headers:?}");
    }
}

const LOCAL: &str = "
plugins:
  cors: { builtin: cors, origins: ['https://app.test'], methods: [GET] }
auth:
  who: { test_who: {} }
limits:
  few: { per: ip, rate: 1/1h }
routes:
  - { id: moved, match: { method: GET, path: '/old/{id}/**' }, redirect: { to: 'https://new.test/{id}/**' }, auth: who, plugins: [cors] }
  - { id: local, match: { method: [GET, POST], path: '/here/{id}' }, redirect: { to: '/there/{id}?from=here', status: 303 }, auth: none, why_public: a test }
  - { id: robots, match: { method: GET, path: /robots.txt }, respond: { status: 200, body: 'no', headers: { x-a: b } }, auth: none, why_public: a test, plugins: [cors] }
  - { id: gone, match: { method: GET, path: /gone }, respond: { status: 410, body: '{}', content_type: application/json }, auth: none, why_public: a test, limits: [few] }
  - { id: empty, match: { method: GET, path: /empty }, respond: { status: 204 }, auth: none, why_public: a test }
";

#[tokio::test]
async fn a_redirect_is_for_those_who_may() {
    let stage = Stage::open(LOCAL).await;
    let cors = "Origin: https://app.test\r\n";
    let refused = stage.get("/old/7/a/b", cors).await;
    assert_eq!(refused.status, 401);
    assert!(!refused.headers.contains_key("location"));
    let who = format!("{cors}x-test-user: u1\r\n");
    let moved = stage.get("/old/7/a/b?x=%0d%0a", &who).await;
    assert_eq!(moved.status, 308);
    assert_eq!(moved.headers["location"], "https://new.test/7/a/b?x=%0d%0a");
    assert_eq!(
        moved.headers["access-control-allow-origin"],
        "https://app.test"
    );
    assert_eq!(moved.headers["content-length"], "0");
    let mut wire = stage.connect().await;
    wire.send("POST /here/@evil.test HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab")
        .await;
    let answer = wire.response().await;
    assert_eq!(
        (answer.status, answer.headers["location"].to_str().unwrap()),
        (303, "/there/@evil.test?from=here")
    );
    assert!(stage.origin.is_unasked().await);
    let line = "gateway_refused_total{by=\"redirect\",code=\"none\",route=\"moved\"}";
    assert!(stage.metric(line) > 0.0);
}

#[tokio::test]
async fn an_answer_of_the_table_meets_the_rules_of_its_route() {
    let stage = Stage::open(LOCAL).await;
    let answer = stage
        .get("/robots.txt", "Origin: https://app.test\r\n")
        .await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "no"));
    assert_eq!(answer.headers["content-type"], "text/plain; charset=utf-8");
    assert_eq!(answer.headers["x-a"], "b");
    assert_eq!(
        answer.headers["access-control-allow-origin"],
        "https://app.test"
    );
    let answer = stage.get("/gone", "").await;
    assert_eq!((answer.status, answer.body.as_str()), (410, "{}"));
    assert_eq!(answer.headers["content-type"], "application/json");
    assert_eq!(stage.get("/gone", "").await.status, 429, "limits count it");
    let mut wire = stage.connect().await;
    wire.send("HEAD /robots.txt HTTP/1.1\r\nHost: a\r\n\r\n")
        .await;
    let head = wire.until("\r\n\r\n").await;
    assert!(head.contains("200") && head.ends_with("\r\n\r\n"), "{head}");
    wire.send("GET /empty HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(wire.until("\r\n\r\n").await.starts_with("HTTP/1.1 204"));
    assert!(stage.origin.is_unasked().await);
}

const MIRRORED: &str = "auth:
  who: { test_who: {} }
routes:
  - { id: seen, match: { method: [GET, POST], path: '/a/{id}' }, to: origin, auth: who, rewrite: '/b/{id}', mirror: { to: other } }
  - { id: unseen, match: { method: GET, path: /none }, to: origin, auth: who }
";

fn outcome(outcome: &str) -> String {
    format!("gateway_mirrored_total{{outcome=\"{outcome}\",upstream=\"other\"}}")
}

/// Gateway API: `httproute-request-mirror`. The copy is sealed for who gets it, and its answer
/// changes nothing.
#[tokio::test]
async fn a_mirror_gets_a_copy_under_its_own_seal() {
    let (stage, other) = two(MIRRORED).await;
    let mut wire = stage.connect().await;
    wire.send(
        "POST /a/7?x=1 HTTP/1.1\r\nHost: edge.test\r\nx-test-user: u1\r\nX-Identity: forged\r\n\
         Authorization: Bearer secret\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
    )
    .await;
    let answer = wire.response().await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "abcde"));
    let (asked, copy) = (stage.origin.asked().await, other.asked().await);
    for one in [&asked, &copy] {
        assert_eq!(
            (one.method.as_str(), one.target.as_str()),
            ("POST", "/b/7?x=1")
        );
        assert_eq!(&one.body[..], b"abcde");
        assert_eq!(one.headers["host"], "edge.test");
        assert!(!one.headers.contains_key("authorization"));
    }
    assert_eq!(audience(&copy, "other").who.unwrap().sub, "u1");
    assert_eq!(audience(&asked, "origin").who.unwrap().sub, "u1");
    assert_eq!(copy.headers["traceparent"], asked.headers["traceparent"]);
    stage.metric_becomes(&outcome("sent"), 1.0).await;
    assert_eq!(stage.get("/none", "x-test-user: u1\r\n").await.status, 200);
    assert_eq!(stage.get("/a/7", "").await.status, 401);
    assert!(
        other.is_unasked().await,
        "only what goes on under this route is copied"
    );
}

#[tokio::test]
async fn what_is_too_long_or_too_much_is_not_copied() {
    // Takes copies and holds them until the test lets go.
    let held = Arc::new(Semaphore::new(0));
    let hold = held.clone();
    let other = Origin::raw(move |stream| {
        let hold = hold.clone();
        Box::pin(async move {
            let _open = stream;
            let _ = hold.acquire().await;
        })
    })
    .await;
    let upstream = format!("  other: {{ targets: [\"http://{}\"] }}\n", other.address);
    let stage = Stage::before(
        Origin::start(Answer::echo).await,
        "",
        &(upstream + MIRRORED),
    )
    .await;
    let client = stage.client(false);
    let long = "x".repeat(gateway::mirror::MAX_BODY + 1);
    let sent = client
        .post(stage.url("/a/1"))
        .header("x-test-user", "u1")
        .body(long.clone());
    assert_eq!(sent.send().await.unwrap().text().await.unwrap(), long);
    stage.metric_becomes(&outcome("too_long"), 1.0).await;
    let began = Instant::now();
    let more = gateway::mirror::IN_FLIGHT + 10;
    for n in 0..more {
        let sent = client
            .get(stage.url(&format!("/a/{n}")))
            .header("x-test-user", "u1");
        assert_eq!(sent.send().await.unwrap().status(), 200);
    }
    stage.metric_becomes(&outcome("busy"), 10.0).await;
    // None of the copies has been answered: nobody waited for one, which takes five seconds to fail.
    assert!(
        stage.metric(&outcome("failed")) < 1.0,
        "after {:?}",
        began.elapsed()
    );
    held.close();
    let failed = f64::from(u32::try_from(gateway::mirror::IN_FLIGHT).unwrap());
    stage.metric_becomes(&outcome("failed"), failed).await;
}

#[tokio::test]
async fn a_mirror_that_is_away_costs_nothing() {
    let other = Origin::absent().await;
    let upstream = format!("  other: {{ targets: [\"http://{}\"] }}\n", other.address);
    let origin = Origin::start(Answer::echo).await;
    let stage = Stage::before(origin, "", &(upstream + MIRRORED)).await;
    for n in 0..3 {
        let answer = stage.get(&format!("/a/{n}"), "x-test-user: u1\r\n").await;
        assert_eq!(answer.status, 200);
    }
    stage.metric_becomes(&outcome("failed"), 3.0).await;
}

/// A browser asks before it sends a header of its own; it gets the answer of the route that the
/// request will have.
#[tokio::test]
async fn gateway_17_a_preflight_announces_its_headers() {
    let stage = Stage::open(
        "plugins:
  cors: { builtin: cors, origins: ['https://app.test'], methods: [GET], headers: [x-beta] }
routes:
  - { id: new, match: { method: GET, path: /a, headers: { x-beta: '1' } }, to: origin, auth: none, why_public: a test, plugins: [cors] }
",
    )
    .await;
    for (announced, status) in [("x-other, X-Beta", 204), ("x-other", 404)] {
        let mut wire = Wire::open(stage.plain).await;
        wire.send(format!(
            "OPTIONS /a HTTP/1.1\r\nHost: a\r\nOrigin: https://app.test\r\n\
             Access-Control-Request-Method: GET\r\nAccess-Control-Request-Headers: {announced}\r\n\r\n"
        ))
        .await;
        let head = wire.until("\r\n\r\n").await;
        assert!(
            head.starts_with(&format!("HTTP/1.1 {status}")),
            "{announced}: {head}"
        );
    }
    assert!(stage.origin.is_unasked().await);
}
