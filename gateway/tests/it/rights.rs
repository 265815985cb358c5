//! What a role grants, and whom an API lets in, is felt by every gateway as it changes: by push, by
//! waiting alone, and through every outage of the two.

#![expect(
    clippy::print_stdout,
    reason = "how long a change takes is to be seen, not only that it is short enough"
)]

mod authz;

use std::time::{Duration, Instant};

use local::redis::Server;
use serde_json::json;

use crate::revocation::list::Address;
use crate::stage::{PATIENCE, Stage};
use authz::Authz;

/// Whatever changes is felt within this time.
const BOUND: Duration = Duration::from_secs(1);
const ANN: &str = "x-test-user: ann\r\n";
const UNKNOWN: (u16, &str) = (503, "rights_unavailable");
const FORBIDDEN: (u16, &str) = (403, "forbidden");

fn table(redis: Option<&Address>, rights: &str) -> String {
    let redis = redis.map_or(String::new(), |file| {
        format!("redis: $file:{}", file.path().display())
    });
    format!(
        "
{redis}
auth:
  user: {{ test_who: {{}} }}
rights: {{ upstream: origin, {rights} }}
routes:
  - {{ id: list, match: {{ method: GET, path: /list }}, to: origin, auth: user, allow: {{ permissions: [users.read] }} }}
  - {{ id: wallet, match: {{ method: [GET, POST], path: '/wallets/{{user_id}}' }}, to: origin, auth: user, allow: {{ acl: wallets, owner_param: user_id }} }}
  - {{ id: me, match: {{ method: GET, path: /me }}, to: origin, auth: user }}
"
    )
}

async fn gateway(authz: &Authz, redis: Option<&Address>, rights: &str) -> Stage {
    Stage::before(authz.origin().await, "", &table(redis, rights)).await
}

async fn three(authz: &Authz, redis: Option<&Address>) -> [Stage; 3] {
    let one = || gateway(authz, redis, "on_outage: deny");
    [one().await, one().await, one().await]
}

/// The status of a request by `ann`, and its code when that is a problem.
async fn ask(stage: &Stage, target: &str) -> (u16, String) {
    let answer = stage.get(target, ANN).await;
    let code = (answer.status != 200).then(|| answer.code());
    (answer.status, code.unwrap_or_default())
}

async fn list(stage: &Stage) -> (u16, String) {
    ask(stage, "/list").await
}

fn is(answer: (u16, &str)) -> (u16, String) {
    (answer.0, answer.1.to_owned())
}

/// How long it takes until a request comes to something.
async fn comes_to(stage: &Stage, target: &str, answer: (u16, &str), begun: Instant) -> Duration {
    let changed = async {
        while ask(stage, target).await != is(answer) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        begun.elapsed()
    };
    let changed = tokio::time::timeout(PATIENCE, changed).await;
    changed.unwrap_or_else(|_| panic!("{target} never comes to {answer:?}"))
}

/// Takes the permission away and looks how long all of the gateways let its bearer in.
async fn taken_everywhere(stages: &[Stage], how: &str, begun: Instant) {
    for stage in stages {
        let took = comes_to(stage, "/list", FORBIDDEN, begun).await;
        println!("{how}, refused {took:?} after the permission was taken");
        assert!(took < BOUND, "{how} {took:?}");
        assert_eq!(ask(stage, "/me").await.0, 200, "it asks for none");
    }
}

fn event(event: &str) -> String {
    format!("gateway_rights_events_total{{event=\"{event}\",upstream=\"origin\"}}")
}

#[tokio::test]
async fn gateway_26_three_gateways_feel_a_push_within_a_second() {
    let server = Server::start().unwrap();
    let redis = redis::Client::open(server.url()).unwrap();
    let address = Address::of(&server.url());
    let authz = Authz::new();
    // Whoever waits hears nothing: it is the push that tells.
    authz.set_deaf();
    let stages = three(&authz, Some(&address)).await;
    let listening = async {
        while authz.push(&redis).await < stages.len() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, listening).await.unwrap();
    for stage in &stages {
        assert_eq!(list(stage).await, is((200, "")));
    }
    let begun = Instant::now();
    authz.grant("user", &["users.write"]);
    authz.push(&redis).await;
    taken_everywhere(&stages, "by push", begun).await;
    for stage in &stages {
        assert!(stage.metric(&event("pushed")) >= 1.0);
        let version = "gateway_rights_version{upstream=\"origin\"}";
        stage.metric_becomes(version, 2.0).await;
    }
}

#[tokio::test]
async fn gateway_26_without_redis_three_gateways_feel_it_by_waiting() {
    let authz = Authz::new();
    let stages = three(&authz, None).await;
    for stage in &stages {
        assert_eq!(list(stage).await, is((200, "")));
    }
    let begun = Instant::now();
    authz.grant("user", &[]);
    taken_everywhere(&stages, "without Redis", begun).await;
    authz.grant("user", &["users.read"]);
    for stage in &stages {
        let took = comes_to(stage, "/list", (200, ""), Instant::now()).await;
        assert!(took < BOUND, "given back {took:?}");
    }
}

#[tokio::test]
async fn gateway_33_a_redis_that_stalls_or_dies_makes_it_no_later() {
    let server = Server::start().unwrap();
    let redis = redis::Client::open(server.url()).unwrap();
    let address = Address::of(&server.url());
    let authz = Authz::new();
    let stages = three(&authz, Some(&address)).await;
    let mut line = redis.get_multiplexed_async_connection().await.unwrap();
    let _: () = redis::cmd("CLIENT")
        .arg(&["PAUSE", "3000", "ALL"])
        .query_async(&mut line)
        .await
        .unwrap();
    let begun = Instant::now();
    authz.grant("user", &[]);
    taken_everywhere(&stages, "with a Redis that stalls", begun).await;
    authz.grant("user", &["users.read"]);
    for stage in &stages {
        comes_to(stage, "/list", (200, ""), Instant::now()).await;
    }
    drop(server);
    let begun = Instant::now();
    authz.grant("user", &[]);
    taken_everywhere(&stages, "as Redis dies", begun).await;
}

#[tokio::test]
async fn gateway_33_while_users_is_away_the_table_says_what_holds() {
    for (rule, holds) in [
        ("on_outage: deny, patience: 2s", false),
        ("on_outage: stale, patience: 2s, stale: 4s", true),
    ] {
        let authz = Authz::new();
        let stage = gateway(&authz, None, rule).await;
        authz.set_away(true);
        assert_eq!(list(&stage).await.0, 200, "not before its time");
        stage.metric_becomes(&event("silent"), 1.0).await;
        assert!(stage.metric("gateway_rights_age_seconds{upstream=\"origin\"}") >= 2.0);
        if holds {
            assert_eq!(list(&stage).await.0, 200, "what was last told holds");
            assert_eq!(stage.metric(&event("outage")), 0.0);
        }
        stage.metric_becomes(&event("outage"), 1.0).await;
        assert_eq!(list(&stage).await, is(UNKNOWN));
        assert_eq!(ask(&stage, "/wallets/ann").await, is(UNKNOWN));
        let answer = stage.get("/list", ANN).await;
        assert_eq!(answer.headers["retry-after"], "1");
        assert_eq!(stage.get("/list", "").await.status, 401);
        assert_eq!(ask(&stage, "/me").await.0, 200);
        authz.grant("user", &[]);
        authz.set_away(false);
        let took = comes_to(&stage, "/list", FORBIDDEN, Instant::now()).await;
        assert!(took < Duration::from_secs(2), "known again after {took:?}");
    }
}

#[tokio::test]
async fn before_anything_is_told_nobody_is_told_that_they_may_not() {
    let authz = Authz::new();
    authz.set_away(true);
    let stage = gateway(&authz, None, "on_outage: stale").await;
    assert_eq!(list(&stage).await, is(UNKNOWN));
    assert_eq!(ask(&stage, "/me").await.0, 200);
    authz.set_away(false);
    comes_to(&stage, "/list", (200, ""), Instant::now()).await;
}

#[tokio::test]
async fn an_apis_rules_are_felt_as_they_change() {
    let authz = Authz::new();
    let stage = gateway(&authz, None, "on_outage: deny").await;
    assert_eq!(ask(&stage, "/wallets/ann").await, is((200, "")));
    assert_eq!(ask(&stage, "/wallets/bob").await, is(FORBIDDEN));
    let post = stage
        .raw("POST /wallets/ann HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 0\r\nx-test-user: ann\r\n\r\n")
        .await;
    assert!(post.starts_with("HTTP/1.1 403"), "{post}");
    let readers = json!({ "methods": ["GET"], "any": [{ "permission": "users.read" }] });
    authz.rule(json!({ "wallets": { "rules": [readers] } }));
    let took = comes_to(&stage, "/wallets/bob", (200, ""), Instant::now()).await;
    assert!(took < BOUND, "{took:?}");
    // An API without rules lets nobody in, its owner neither.
    authz.rule(json!({}));
    let took = comes_to(&stage, "/wallets/ann", FORBIDDEN, Instant::now()).await;
    assert!(took < BOUND, "{took:?}");
}

#[tokio::test]
async fn what_is_no_snapshot_changes_nothing() {
    let authz = Authz::new();
    let stage = gateway(&authz, None, "on_outage: stale").await;
    let long = format!(
        r#"{{"version": 9, "roles": {{"user": ["{}"]}}, "acl": {{}}}}"#,
        "x".repeat(1 << 20)
    );
    for text in ["", "{}", r#"{"version": 9}"#, "<html>", &long] {
        let failed = stage.metric(&event("failed"));
        authz.say(text);
        let counted = async {
            while stage.metric(&event("failed")) <= failed {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, counted).await.unwrap();
        assert_eq!(list(&stage).await, is((200, "")), "{:.20}", text);
    }
    let version = "gateway_rights_version{upstream=\"origin\"}";
    assert_eq!(stage.metric(version), 1.0);
}

#[tokio::test]
async fn a_reload_keeps_what_is_told_and_gateways_that_need_it_not_ask_nobody() {
    let authz = Authz::new();
    let stage = gateway(&authz, None, "on_outage: deny, patience: 30s").await;
    authz.set_away(true);
    // Nobody listens there.
    let redis = Address::of("redis://127.0.0.1:1");
    let other = table(Some(&redis), "on_outage: stale, patience: 20s");
    stage.reload("", &other).await;
    assert_eq!(list(&stage).await, is((200, "")));
    let without = table(None, "on_outage: deny");
    let without: Vec<&str> = without
        .lines()
        .filter(|line| {
            !["rights:", "permissions:", "acl:"]
                .iter()
                .any(|key| line.contains(key))
        })
        .collect();
    stage.reload("", &without.join("\n")).await;
    assert_eq!(ask(&stage, "/me").await.0, 200);
    let asked = authz.asked();
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert!(authz.asked() <= asked + 1, "nobody wants to know any more");
    // Asked for again, and told by nobody yet: what was known is forgotten.
    stage.reload("", &table(None, "on_outage: stale")).await;
    assert_eq!(list(&stage).await, is(UNKNOWN));
}
