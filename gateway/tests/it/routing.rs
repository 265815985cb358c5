use crate::stage::{OPEN, Stage};

const TABLE: &str = "
routes:
  - { id: read, match: { method: GET, path: '/v1/things/{id}' }, to: origin, auth: none, why_public: a test }
  - { id: write, match: { method: POST, path: /v1/things }, to: origin, auth: none, why_public: a test }
";

#[tokio::test]
async fn a_request_goes_all_the_way_and_leaves_its_record() {
    let stage = Stage::open(OPEN).await;
    let client = stage.client(true);
    let answer = client
        .post(stage.url("/v1/things?token=SECRET"))
        .body("hello")
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.version(), http::Version::HTTP_2);
    assert_eq!(answer.text().await.unwrap(), "hello");
    let asked = stage.origin.asked().await;
    assert_eq!(
        (asked.method.as_str(), asked.target.as_str()),
        ("POST", "/v1/things?token=SECRET")
    );
    drop(client);
    let records = stage.records().await;
    assert_eq!(records.len(), 1, "{records:?}");
    let record = &records[0];
    assert_eq!(record["route"], "all");
    assert_eq!(record["status"], 200);
    assert_eq!(record["path"], "/v1/things");
    assert_eq!(record["query"], serde_json::json!(["token"]));
    assert_eq!(
        (&record["bytes_in"], &record["bytes_out"]),
        (&5.into(), &5.into())
    );
    assert_eq!(
        (&record["protocol"], &record["upstream"]),
        (&"h2".into(), &"origin".into())
    );
    assert!(record["tls"].as_str().unwrap().contains("1.3"), "{record}");
    assert_eq!(record["trace_id"].as_str().unwrap().len(), 32);
    assert!(!record.to_string().contains("SECRET"));
}

#[tokio::test]
async fn what_no_route_takes_is_refused_and_the_connection_stays() {
    let stage = Stage::open(TABLE).await;
    let mut wire = stage.connect().await;
    for (request, status, code) in [
        ("GET /nowhere", 404, "not_found"),
        ("DELETE /v1/things/7", 405, "method_not_allowed"),
        ("OPTIONS /v1/things/7", 405, "method_not_allowed"),
        ("GET /v1/%2e%2e/things/7", 400, "bad_path"),
        ("GET /v1/things/a%2fb", 400, "bad_path"),
    ] {
        wire.send(format!("{request} HTTP/1.1\r\nHost: a\r\n\r\n"))
            .await;
        let answer = wire.response().await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (status, code),
            "{request}"
        );
        assert_eq!(answer.headers["connection"], "keep-alive", "{request}");
    }
    assert!(stage.origin.is_unasked().await);
    assert!(
        stage.metric("gateway_refused_total{by=\"gateway\",code=\"not_found\",route=\"none\"}")
            > 0.0
    );
}

#[tokio::test]
async fn a_head_is_answered_without_a_body() {
    let stage = Stage::open(TABLE).await;
    let mut wire = stage.connect().await;
    for target in ["/v1/things/7", "/nowhere"] {
        wire.send(format!("HEAD {target} HTTP/1.1\r\nHost: a\r\n\r\n"))
            .await;
        let head = wire.until("\r\n\r\n").await;
        assert!(head.ends_with("\r\n\r\n"), "{head}");
    }
    wire.send("GET /v1/things/7 HTTP/1.1\r\nHost: a\r\n\r\n")
        .await;
    assert_eq!(
        wire.response().await.status,
        200,
        "out of step after a HEAD"
    );
}

#[tokio::test]
async fn trap_18_paths_go_upstream_as_they_were_judged() {
    let stage = Stage::open(TABLE).await;
    let answer = stage.get("/v1/th%69ngs/%7Euser?a=%2f", "").await;
    assert_eq!(answer.status, 200);
    assert_eq!(stage.origin.asked().await.target, "/v1/things/~user?a=%2f");
    for target in [
        "//v1/things/7",
        "/v1/../v1/things/7",
        "/v1/things/%00",
        "/v1/things/a%5cb",
    ] {
        assert_eq!(stage.get(target, "").await.status, 400, "{target}");
    }
    assert!(stage.origin.is_unasked().await);
}

#[tokio::test]
async fn trap_20_two_edges_live_in_one_runtime() {
    let (one, two) = (Stage::open(OPEN).await, Stage::open(OPEN).await);
    assert_ne!(one.plain, two.plain);
    for stage in [&one, &two] {
        assert_eq!(stage.get("/", "").await.status, 200);
    }
    assert_eq!(one.records().await.len(), 1);
    assert_eq!(
        two.get("/", "").await.status,
        200,
        "the other one serves on"
    );
}

const BROWSED: &str = "
plugins:
  cors: { builtin: cors, origins: ['https://app.test'], methods: [GET] }
auth:
  who: { test_who: {} }
routes:
  - { id: me, match: { method: GET, path: /me }, to: origin, auth: who, plugins: [cors] }
";

/// A browser that gets a 401 without these headers shows its user a network error.
#[tokio::test]
async fn our_own_refusals_meet_the_plugins_on_their_way_out() {
    let stage = Stage::open(BROWSED).await;
    let refused = stage.get("/me", "Origin: https://app.test\r\n").await;
    assert_eq!(refused.status, 401);
    assert_eq!(
        refused.headers["access-control-allow-origin"],
        "https://app.test"
    );
}

#[tokio::test]
async fn a_preflight_is_answered_at_the_edge() {
    let stage = Stage::open(BROWSED).await;
    let mut wire = stage.connect().await;
    let ask = "OPTIONS /me HTTP/1.1\r\nHost: a\r\nOrigin: https://app.test\r\n";
    wire.send(format!("{ask}Access-Control-Request-Method: GET\r\n\r\n"))
        .await;
    let answer = wire.response().await;
    assert_eq!(answer.status, 204);
    assert_eq!(
        answer.headers["access-control-allow-origin"],
        "https://app.test"
    );
    assert!(stage.origin.is_unasked().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_at_once_get_their_own_answers() {
    let stage = Stage::open(OPEN).await;
    let (h1, h2) = (stage.client(false), stage.client(true));
    let all = (0..200).map(|number| {
        let client = if number % 2 == 0 { &h1 } else { &h2 };
        let body = format!("{number}-").repeat(number * 7 + 1);
        let sent = client.post(stage.url("/")).body(body.clone()).send();
        async move { assert_eq!(sent.await.unwrap().text().await.unwrap(), body) }
    });
    futures::future::join_all(all).await;
    stage
        .metric_becomes("gateway_requests_in_flight", 0.0)
        .await;
    drop((h1, h2));
    assert_eq!(stage.records().await.len(), 200);
}
