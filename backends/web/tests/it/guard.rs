//! Nobody passes without a seal, and whatever fails is a problem.

use std::time::Duration;

use expect_test::expect;
use host::Clock;
use host::testing::Running;
use serde_json::Value;
use uuid::Uuid;

use crate::stage::{Hall, Settings, hall};

#[tokio::test]
async fn without_a_valid_seal_everything_is_401() {
    let hall = hall().await;
    let user = || Some(Running::<Hall>::user(Uuid::now_v7(), &["admin"]));
    let good = hall.seal(user());
    let refused = [
        hall.get("/public").without("x-identity"),
        hall.get("/public").header("x-identity", ""),
        hall.get("/public").header("x-identity", "v1.a.b.c"),
        hall.get("/public")
            .header("x-identity", &good[..good.len() - 1]),
        hall.get("/public")
            .header("x-identity", &hall.seal_as("users", user())),
        hall.get("/public")
            .header("x-user-id", "1")
            .without("x-identity"),
        hall.call("DELETE", "/public").without("x-identity"),
    ];
    for call in refused {
        let answer = call.send().await;
        assert_eq!(
            (answer.status.as_u16(), answer.code().as_str()),
            (401, "unauthenticated")
        );
    }
    let answer = hall.get("/public").header("x-identity", &good).send().await;
    assert_eq!(answer.status, 200);
    hall.stop().await;
}

#[tokio::test]
async fn an_old_seal_is_no_seal() {
    let clock = Clock::stopped(time::OffsetDateTime::UNIX_EPOCH);
    let hall = Running::<Hall>::start_at(Settings {}, clock).await;
    let seal = hall.seal(None);
    let call = || hall.get("/public").header("x-identity", &seal);
    assert_eq!(call().send().await.status, 200);
    hall.clock().advance(Duration::from_secs(61));
    assert_eq!(call().send().await.code(), "unauthenticated");
    hall.stop().await;
}

#[tokio::test]
async fn the_clients_address_is_the_one_that_is_sealed() {
    let hall = hall().await;
    let elsewhere = hall.seal_from([198, 51, 100, 7].into(), None);
    for (call, place) in [
        (hall.get("/place"), "192.0.2.1"),
        (
            hall.get("/place").header("x-identity", &elsewhere),
            "198.51.100.7",
        ),
        (
            hall.get("/place").header("x-forwarded-for", "6.6.6.6"),
            "192.0.2.1",
        ),
        (hall.call_by_gateway("users", "GET", "/place"), "nowhere"),
    ] {
        assert_eq!(call.send().await.body, place);
    }
    hall.stop().await;
}

#[tokio::test]
async fn two_seals_are_refused() {
    let hall = hall().await;
    let seal = hall.seal(None);
    let answer = hall.get("/public").also("x-identity", &seal).send().await;
    assert_eq!(answer.code(), "unauthenticated");
    hall.stop().await;
}

#[tokio::test]
async fn a_handler_that_wants_a_caller_gets_a_user() {
    let hall = hall().await;
    let ann = Uuid::now_v7();
    let answer = hall.call_as(ann, "GET", "/me").send().await;
    assert_eq!(answer.body, format!("{ann} true"));
    assert_eq!(hall.get("/me").send().await.code(), "unauthenticated");
    let robot = identity::Principal {
        sub: "robot".into(),
        ..Default::default()
    };
    let answer = hall
        .get("/me")
        .header("x-identity", &hall.seal(Some(robot)))
        .send()
        .await;
    assert_eq!(answer.code(), "unauthenticated");
    hall.stop().await;
}

#[tokio::test]
async fn what_is_the_gateways_own_is_nobody_elses() {
    let hall = hall().await;
    let answer = hall.call_by_gateway("revocation", "GET", "/machine");
    assert_eq!(answer.send().await.body, "revocation");
    let admin = || Some(Running::<Hall>::user(Uuid::now_v7(), &["admin"]));
    for (route, who) in [
        ("machine", None),
        ("machine", admin()),
        ("gateway", None),
        ("gateway:", None),
        ("gateway:revocation", admin()),
        ("Gateway:revocation", None),
        (" gateway:revocation", None),
    ] {
        let seal = hall.seal_on(route, "hall", who);
        let answer = hall.get("/machine").header("x-identity", &seal);
        let answer = answer.send().await;
        assert_eq!(
            (answer.status.as_u16(), answer.code().as_str()),
            (403, "forbidden"),
            "{route}"
        );
    }
    let unsealed = hall.get("/machine").without("x-identity").send().await;
    assert_eq!(unsealed.code(), "unauthenticated");
    hall.stop().await;
}

#[tokio::test]
async fn a_problem_carries_the_sealed_request_id() {
    let hall = hall().await;
    let answer = hall.get("/me").send().await;
    let mut problem: Value = answer.json();
    assert!(
        problem["request_id"]
            .as_str()
            .is_some_and(|id| id.len() == 36),
        "{problem}"
    );
    problem["request_id"] = "…".into();
    expect![[r#"{"code":"unauthenticated","request_id":"…","status":401,"title":"Authentication required","type":"about:blank"}"#]]
        .assert_eq(&problem.to_string());
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    // And so does what a handler asks for itself.
    assert_eq!(hall.get("/public").send().await.body.len(), 36);
    hall.stop().await;
}

#[tokio::test]
async fn nothing_here_and_not_that_way() {
    let hall = hall().await;
    let answer = hall.get("/nowhere").send().await;
    assert_eq!(
        (answer.status.as_u16(), answer.code().as_str()),
        (404, "not_found")
    );
    let answer = hall.call("DELETE", "/me").send().await;
    assert_eq!(
        (answer.status.as_u16(), answer.code().as_str()),
        (405, "method_not_allowed")
    );
    assert_eq!(answer.header("allow"), Some("GET,HEAD"));
    hall.stop().await;
}

#[tokio::test]
async fn a_panic_is_500_without_its_words_and_the_process_goes_on() {
    let hall = hall().await;
    let answer = hall.get("/panic").send().await;
    assert_eq!(
        (answer.status.as_u16(), answer.code().as_str()),
        (500, "internal")
    );
    assert!(!String::from_utf8_lossy(&answer.body).contains("hush"));
    assert_eq!(hall.get("/public").send().await.status, 200);
    hall.stop().await;
}

#[tokio::test]
async fn a_wrong_statement_is_500_and_an_absent_database_503() {
    let hall = hall().await;
    let query = |sql: &'static str| hall.post("/query").body(sql).send();
    let answer = query("select hush").await;
    assert_eq!(
        (answer.status.as_u16(), answer.code().as_str()),
        (500, "internal")
    );
    assert!(!String::from_utf8_lossy(&answer.body).contains("hush"));
    let answer = query("select pg_terminate_backend(pg_backend_pid())").await;
    assert_eq!(
        (answer.status.as_u16(), answer.code().as_str()),
        (503, "upstream_unavailable")
    );
    assert_eq!(answer.header("retry-after"), Some("1"));
    assert_eq!(query("select 1").await.status, 200);
    hall.stop().await;
}

#[tokio::test]
async fn requests_are_counted_by_pattern() {
    let hall = hall().await;
    hall.get("/public").send().await;
    hall.get("/nowhere/at/all").send().await;
    hall.call("BREW", "/me").send().await;
    let metrics = hall.private("/metrics").send().await;
    let text = String::from_utf8_lossy(&metrics.body);
    for line in [
        r#"backend_request_seconds_count{app="hall",method="GET",route="/public",status="200"} 1"#,
        r#"backend_request_seconds_count{app="hall",method="other",route="/me",status="405"} 1"#,
    ] {
        assert!(text.contains(line), "{text}");
    }
    assert!(!text.contains("nowhere"), "{text}");
    hall.stop().await;
}

#[tokio::test]
async fn the_private_port_says_how_we_are() {
    let hall = hall().await;
    assert_eq!(hall.private("/livez").send().await.status, 200);
    let ready = hall.private("/readyz").send().await;
    assert_eq!(
        ready.json::<Value>().to_string(),
        r#"{"databases":{"hall":true},"status":"ready"}"#
    );
    let document: Value = hall.private("/openapi/hall.json").send().await.json();
    assert_eq!(
        document["paths"]["/me"]["get"]["responses"]["default"]["content"]["application/problem+json"]
            ["schema"]["$ref"],
        "#/components/schemas/Problem"
    );
    assert_eq!(hall.private("/openapi/other.json").send().await.status, 404);
    hall.stop().await;
}
