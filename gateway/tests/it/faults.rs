use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::stage::{Answer, OPEN, Origin, Stage, logged};

const HASTY: &str = "
routes:
  - { id: all, match: { method: [GET, POST], path: /** }, to: origin, auth: none, why_public: a test, timeout: 500ms }
";
const PANICS: &str = "
plugins:
  panics: { builtin: test_panics }
routes:
  - { id: all, match: { method: GET, path: /** }, to: origin, auth: none, why_public: a test, plugins: [panics] }
";

#[tokio::test]
async fn trap_04_an_upstream_that_never_answers_is_given_up() {
    let origin = Origin::silent().await;
    let stage = Stage::before(origin, "", HASTY).await;
    let start = Instant::now();
    let answer = stage.get("/", "").await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (504, "upstream_timeout")
    );
    assert!(
        start.elapsed() < Duration::from_secs(3),
        "{:?}",
        start.elapsed()
    );
}

#[tokio::test]
async fn trap_13_trap_15_an_absent_upstream_is_asked_as_often_as_the_route_says() {
    let stage = Stage::before(Origin::absent().await, "", OPEN).await;
    let start = Instant::now();
    let answer = stage.get("/", "").await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (502, "upstream_unavailable")
    );
    assert!(
        start.elapsed() < Duration::from_secs(2),
        "{:?}",
        start.elapsed()
    );
    let tried =
        stage.metric("gateway_upstream_errors_total{reason=\"refused\",upstream=\"origin\"}");
    assert!((1.0..=2.0).contains(&tried), "{tried} attempts");
    let record = &stage.records().await[0];
    assert_eq!(
        (&record["status"], &record["code"]),
        (&502.into(), &"upstream_unavailable".into())
    );
}

#[tokio::test]
async fn trap_10_a_name_that_nobody_knows_harms_only_its_own() {
    let stage = Stage::open(OPEN).await;
    let table = stage
        .table(
            "",
            "routes:
  - { id: all, match: { method: GET, path: /** }, to: origin, auth: none, why_public: a test }
  - { id: lost, match: { method: GET, path: /lost }, to: lost, auth: none, why_public: a test }
",
        )
        .replace(
            "upstreams:",
            "upstreams:\n  lost: { targets: [\"http://no-such-host.invalid:80\"] }",
        );
    stage.reload_table(&table).await;
    assert_eq!(stage.get("/lost", "").await.status, 502);
    assert_eq!(stage.get("/", "").await.status, 200);
}

#[tokio::test]
async fn trap_11_two_upstreams_at_one_address_share_no_connection() {
    let stage = Stage::open(OPEN).await;
    let other = format!(
        "upstreams:\n  other: {{ targets: [\"http://{}\"] }}",
        stage.origin.address
    );
    let table = stage
        .table(
            "",
            "routes:
  - { id: all, match: { method: GET, path: /** }, to: origin, auth: none, why_public: a test }
  - { id: other, match: { method: GET, path: /other }, to: other, auth: none, why_public: a test }
",
        )
        .replace("upstreams:", &other);
    stage.reload_table(&table).await;
    for (target, connections) in [("/", 1), ("/", 1), ("/other", 2), ("/other", 2), ("/", 2)] {
        assert_eq!(stage.get(target, "").await.status, 200);
        assert_eq!(stage.origin.connections(), connections, "{target}");
    }
}

/// Promises to keep the connection and closes it after the first answer.
async fn fickle() -> Origin {
    Origin::raw(|mut stream| {
        Box::pin(async move {
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                .await;
            // Takes the next request and ends without a word.
            let _ = stream.read(&mut [0; 4096]).await;
        })
    })
    .await
}

#[tokio::test]
async fn trap_12_a_pooled_connection_that_dies_costs_nobody_an_answer() {
    let stage = Stage::before(fickle().await, "", OPEN).await;
    for attempt in 0..4 {
        let answer = stage.get("/", "").await;
        assert_eq!(
            (answer.status, answer.body.as_str()),
            (200, "ok"),
            "{attempt}"
        );
    }
    let stage = Stage::before(fickle().await, "", OPEN).await;
    let post = "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi";
    assert!(stage.raw(post).await.starts_with("HTTP/1.1 200"));
    // What may not be done twice is not tried again: it may have been done.
    assert!(stage.raw(post).await.starts_with("HTTP/1.1 502"));
}

#[tokio::test]
async fn gateway_42_trap_14_a_panic_is_one_500_and_gives_everything_back() {
    let stage = Stage::open(PANICS).await;
    for place in ["request", "wait"] {
        let answer = stage.get("/", &format!("x-test-panic: {place}\r\n")).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (500, "internal"),
            "{place}"
        );
    }
    for place in ["response", "log"] {
        let answer = stage.get("/", &format!("x-test-panic: {place}\r\n")).await;
        assert_eq!(answer.status, 200, "{place}");
    }
    assert_eq!(stage.get("/", "").await.status, 200);
    stage
        .metric_becomes("gateway_requests_in_flight", 0.0)
        .await;
    assert_eq!(
        stage.metric("gateway_refused_total{by=\"test_panics\",code=\"internal\",route=\"all\"}"),
        2.0
    );
    assert_eq!(stage.records().await.len(), 5);
}

#[tokio::test]
async fn trap_16_no_log_holds_a_query() {
    let stage = Stage::before(Origin::absent().await, "", OPEN).await;
    let answer = stage
        .get(
            "/v1/x?token=VERYSECRET&VERYSECRET",
            "Cookie: VERYSECRET\r\n",
        )
        .await;
    assert_eq!(answer.status, 502);
    let records = stage.records().await;
    assert!(!format!("{records:?}").contains("VERYSECRET"));
    let logged = logged();
    assert!(
        !logged.iter().any(|line| line.contains("VERYSECRET")),
        "{logged:?}"
    );
}

#[tokio::test]
async fn an_answer_that_is_cut_is_not_passed_off_as_whole() {
    let origin = Origin::breaking_off().await;
    let stage = Stage::before(origin, "", OPEN).await;
    let mut wire = stage.connect().await;
    wire.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let all = wire.rest().await;
    assert!(
        all.starts_with("HTTP/1.1 200") && all.ends_with("half"),
        "{all}"
    );
    let record = &stage.records().await[0];
    assert_eq!(
        (&record["status"], &record["aborted"]),
        (&200.into(), &true.into())
    );
}

#[tokio::test]
async fn a_record_stays_small_whatever_was_asked() {
    let stage = Stage::open(OPEN).await;
    let (method, path) = ("M".repeat(10_000), "p".repeat(10_000));
    stage
        .raw(format!("{method} /{path} HTTP/1.1\r\nHost: a\r\n\r\n"))
        .await;
    let record = stage.records().await.remove(0);
    assert_eq!(record["status"], 405);
    assert!(record.to_string().len() < 3_000);
}

#[tokio::test]
async fn a_client_that_leaves_leaves_a_record() {
    let origin = Origin::silent().await;
    let stage = Stage::before(origin, "", OPEN).await;
    let mut wire = stage.connect().await;
    wire.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    stage
        .metric_becomes("gateway_requests_in_flight", 1.0)
        .await;
    drop(wire);
    stage
        .metric_becomes("gateway_requests_aborted_total", 1.0)
        .await;
    let record = &stage.records().await[0];
    assert_eq!(
        (&record["status"], &record["aborted"]),
        (&serde_json::Value::Null, &true.into())
    );
}

#[tokio::test]
async fn a_target_that_is_down_is_passed_over() {
    let absent = Origin::absent().await;
    let stage = Stage::before(Origin::start(|_| Answer::ok("up")).await, "", OPEN).await;
    let both = format!("targets: [\"http://{}\", ", absent.address);
    let table = stage.table("", OPEN).replace("targets: [", &both);
    stage.reload_table(&table).await;
    for _ in 0..20 {
        assert_eq!(stage.get("/", "").await.status, 200);
    }
}

#[tokio::test]
async fn a_target_that_says_it_is_ill_is_not_asked() {
    let well = Arc::new(AtomicBool::new(true));
    let says = well.clone();
    let origin = Origin::start(move |_| match says.load(Ordering::SeqCst) {
        true => Answer::ok("well"),
        false => Answer::ok("ill").status(500),
    })
    .await;
    let stage = Stage::before(origin, "", OPEN).await;
    let asked = "connect_timeout: 500ms, health: { path: /healthz, every: 100ms }";
    let table = stage
        .table("", OPEN)
        .replace("connect_timeout: 500ms", asked);
    stage.reload_table(&table).await;
    let targets = "gateway_upstream_targets{upstream=\"origin\"}";
    stage.metric_becomes(targets, 1.0).await;
    well.store(false, Ordering::SeqCst);
    stage.metric_becomes(targets, 0.0).await;
    well.store(true, Ordering::SeqCst);
    stage.metric_becomes(targets, 1.0).await;
}
