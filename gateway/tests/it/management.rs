use crate::stage::{OPEN, Stage, Wire};

async fn ask(stage: &Stage, path: &str) -> (u16, String) {
    let mut wire = Wire::open(stage.edge.management()).await;
    wire.send(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"))
        .await;
    let answer = wire.response().await;
    (answer.status, answer.body)
}

#[tokio::test]
async fn the_inner_port_tells_and_the_outer_does_not() {
    let stage = Stage::open(OPEN).await;
    stage.get("/v1/users/42", "").await;
    assert_eq!(ask(&stage, "/livez").await.0, 200);
    assert_eq!(ask(&stage, "/readyz").await, (200, "ready\n".into()));
    let (status, routes) = ask(&stage, "/routes").await;
    let routes: serde_json::Value = serde_json::from_str(&routes).unwrap();
    assert_eq!((status, &routes["routes"][0]["id"]), (200, &"all".into()));
    let (_, metrics) = ask(&stage, "/metrics").await;
    assert!(
        metrics.contains(
            "gateway_request_duration_seconds_count{method=\"GET\",route=\"all\",status=\"2xx\"} 1"
        ),
        "{metrics}"
    );
    assert!(!metrics.contains("/v1/users"), "a path is no label");
    assert_eq!(ask(&stage, "/secret").await.0, 404);
    assert_eq!(stage.origin.asked().await.target, "/v1/users/42");
    stage.get("/metrics", "").await;
    assert_eq!(
        stage.origin.asked().await.target,
        "/metrics",
        "outside it is a path like any other"
    );
}

#[tokio::test]
async fn routes_are_told_with_what_becomes_of_requests() {
    let stage = Stage::open(
        "routes:
  - { id: a, match: { method: GET, path: '/a/{id}', host: '*.test', headers: { x-beta: '1' } }, to: origin, auth: none, why_public: a test, rewrite: '/b/{id}', mirror: { to: origin, share: 5% } }
  - { id: b, match: { method: GET, path: /b }, redirect: { to: /c }, auth: none, why_public: a test }
",
    )
    .await;
    let (_, routes) = ask(&stage, "/routes").await;
    let routes: serde_json::Value = serde_json::from_str(&routes).unwrap();
    let (one, other) = (&routes["routes"][0], &routes["routes"][1]);
    for (key, value) in [
        ("host", "*.test"),
        ("conditions", "x-beta: 1"),
        ("action", "goes on to origin"),
        ("forwarded", "as /b/{id}"),
        ("mirror", "5% of it to origin"),
    ] {
        assert_eq!(one[key], value, "{key}");
    }
    assert_eq!(other["action"], "is redirected to /c with 308");
    assert!(other.get("mirror").is_none());
}

#[tokio::test]
async fn trap_09_readiness_ends_before_the_listeners_do() {
    let stage = Stage::open(OPEN).await;
    stage.edge.announce_stop();
    assert_eq!(ask(&stage, "/readyz").await, (503, "draining\n".into()));
    assert_eq!(ask(&stage, "/livez").await.0, 200);
    assert_eq!(
        stage.get("/", "").await.status,
        200,
        "who did not hear of it yet is still served"
    );
}

#[tokio::test]
async fn gateway_40_a_page_reaches_the_inner_port_by_no_name_of_its_own() {
    let stage = Stage::open(OPEN).await;
    let table = stage.table("", OPEN);
    let bind = "management: { bind: \"127.0.0.1:0\"";
    stage
        .reload_table(&table.replacen(bind, &format!("{bind}, hosts: [gateway.internal]"), 1))
        .await;
    for (host, status) in [
        ("Host: 127.0.0.1:9440\r\n", 200),
        ("Host: [::1]:9440\r\n", 200),
        ("Host: localhost\r\n", 200),
        ("Host: gateway.internal:9440\r\n", 200),
        // What a browser says of a page whose name was made to point here.
        ("Host: evil.test\r\n", 421),
        ("Host: 127.0.0.1.evil.test\r\n", 421),
        ("Host: localhost\r\nHost: evil.test\r\n", 421),
    ] {
        for path in ["/metrics", "/routes", "/readyz"] {
            let mut wire = Wire::open(stage.edge.management()).await;
            wire.send(format!("GET {path} HTTP/1.1\r\n{host}\r\n"))
                .await;
            let answer = wire.response().await;
            assert_eq!(answer.status, status, "{host}");
            assert!(status == 200 || !answer.body.contains("gateway_"), "{host}");
        }
    }
    // And it changes nothing, whoever asks.
    let mut wire = Wire::open(stage.edge.management()).await;
    wire.send("POST /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n")
        .await;
    assert_eq!(wire.response().await.status, 405);
}
