use crate::stage::{Answer, OPEN, Origin, Stage, Wire};

const SMALL: &str = "
routes:
  - { id: small, match: { method: POST, path: /** }, to: origin, auth: none, why_public: a test, max_body: 16B }
";
const READ: &str = "
plugins:
  reads: { builtin: test_reads, limit: 1048576 }
routes:
  - { id: read, match: { method: POST, path: /** }, to: origin, auth: none, why_public: a test, plugins: [reads], timeout: 1s }
";

#[tokio::test]
async fn a_body_that_is_too_long_is_refused_said_or_not() {
    let stage = Stage::open(SMALL).await;
    let mut wire = stage.connect().await;
    wire.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 17\r\n\r\n")
        .await;
    let answer = wire.response().await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (413, "payload_too_large")
    );
    assert!(stage.origin.is_unasked().await);
    let mut wire = stage.connect().await;
    wire.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n11\r\n0123456789abcdefg\r\n").await;
    assert_eq!(wire.response().await.status, 413);
    let fits = stage
        .raw("POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 16\r\n\r\n0123456789abcdef")
        .await;
    assert!(fits.ends_with("0123456789abcdef"), "{fits}");
}

/// The reset that closing with unread bytes makes must not overtake the answer.
#[tokio::test]
async fn a_413_reaches_a_client_that_is_still_sending() {
    let stage = Stage::open(SMALL).await;
    let mut wire = stage.connect().await;
    wire.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 500000\r\n\r\n")
        .await;
    wire.send(vec![b'x'; 500_000]).await;
    assert_eq!(wire.response().await.status, 413);
}

#[tokio::test]
async fn a_head_that_is_too_long_is_refused() {
    let stage = Stage::open(&format!("defaults: {{ max_header: 4KiB }}\n{OPEN}")).await;
    let answer = stage
        .get("/", &format!("X: {}\r\n", "x".repeat(4_200)))
        .await;
    assert_eq!((answer.status, answer.code().as_str()), (431, "framing"));
    let over = stage
        .client(true)
        .get(stage.url("/"))
        .header("x", "x".repeat(4_200))
        .send();
    assert_eq!(over.await.unwrap().status(), 431);
    let stage = Stage::open(OPEN).await;
    assert_eq!(
        stage
            .get(&format!("/{}", "x".repeat(9_000)), "")
            .await
            .status,
        414
    );
    let endless = stage
        .raw(format!(
            "GET / HTTP/1.1\r\nHost: a\r\nX: {}",
            "x".repeat(200_000)
        ))
        .await;
    assert!(endless.starts_with("HTTP/1.1 431"), "{endless}");
    assert!(stage.origin.is_unasked().await);
}

#[tokio::test]
async fn one_address_gets_so_many_connections() {
    let origin = Origin::start(Answer::echo).await;
    let stage = Stage::before(origin, "max_connections_per_ip: 2", OPEN).await;
    let mut kept = Vec::new();
    for _ in 0..2 {
        let mut wire = stage.connect().await;
        wire.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert_eq!(wire.response().await.status, 200);
        kept.push(wire);
    }
    assert_eq!(stage.raw("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await, "");
    kept.pop();
    stage
        .metric_becomes("gateway_connections{listener=\"plain\"}", 1.0)
        .await;
    assert_eq!(stage.get("/", "").await.status, 200);
}

#[tokio::test]
async fn over_the_cap_connections_wait() {
    let origin = Origin::start(Answer::echo).await;
    let stage = Stage::before(origin, "max_connections: 1", OPEN).await;
    let mut first = stage.connect().await;
    first.send("GET /1 HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(first.response().await.status, 200);
    let mut second = stage.connect().await;
    second.send("GET /2 HTTP/1.1\r\nHost: a\r\n\r\n").await;
    stage.origin.asked().await;
    assert!(
        stage.origin.is_unasked().await,
        "the second one is not served yet"
    );
    drop(first);
    assert_eq!(second.response().await.status, 200);
}

#[tokio::test]
async fn trap_07_a_body_is_read_before_the_upstream_is_asked_and_arrives_whole() {
    let stage = Stage::open(READ).await;
    let client = stage.client(true);
    let whole = "x".repeat(60_000);
    let answer = client
        .post(stage.url("/"))
        .body(whole.clone())
        .send()
        .await
        .unwrap();
    assert_eq!(answer.text().await.unwrap(), whole);
    let chunked =
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n";
    let answer = stage
        .raw(format!("{chunked}5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"))
        .await;
    assert!(answer.ends_with("hello world"), "{answer}");
    let bad = stage.raw(format!("{chunked}3\r\nbad\r\n0\r\n\r\n")).await;
    assert!(bad.starts_with("HTTP/1.1 400"), "{bad}");
    for _ in 0..2 {
        stage.origin.asked().await;
    }
    assert!(
        stage.origin.is_unasked().await,
        "a bad body reached the origin"
    );
}

#[tokio::test]
async fn trap_07_a_body_over_what_can_be_replayed_is_refused_at_once() {
    let stage = Stage::open(READ).await;
    let mut wire = stage.connect().await;
    wire.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n")
        .await;
    wire.send(vec![b'x'; 100_000]).await;
    assert_eq!(wire.response().await.status, 413);
    let mut wire = stage.connect().await;
    wire.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n186a0\r\n")
        .await;
    wire.send(vec![b'x'; 100_000]).await;
    assert_eq!(wire.response().await.status, 413);
    assert!(stage.origin.is_unasked().await);
}

#[tokio::test]
async fn trap_07_a_client_that_waits_for_a_go_ahead_gets_it() {
    let stage = Stage::open(READ).await;
    let mut wire = stage.connect().await;
    wire.send("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
        .await;
    wire.until("HTTP/1.1 100 Continue\r\n\r\n").await;
    wire.send("hi").await;
    let answer = wire.response().await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "hi"));
    assert!(!stage.origin.asked().await.headers.contains_key("expect"));
}

#[tokio::test]
async fn a_body_that_never_comes_is_not_forwarded_in_part() {
    let stage = Stage::open(READ).await;
    let mut wire = stage.connect().await;
    wire.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf")
        .await;
    let answer = wire.response().await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (408, "request_timeout")
    );
    assert!(stage.origin.is_unasked().await);
}

#[tokio::test]
async fn refusals_keep_the_connection() {
    let stage = Stage::open(READ).await;
    let mut wire = Wire::open(stage.plain).await;
    for _ in 0..3 {
        wire.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nbad")
            .await;
        let answer = wire.response().await;
        assert_eq!((answer.status, answer.code().as_str()), (400, "bad_body"));
    }
}

#[tokio::test]
async fn a_go_ahead_of_the_upstream_is_passed_on() {
    let stage = Stage::open(OPEN).await;
    let mut wire = stage.connect().await;
    wire.send("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
        .await;
    wire.until("HTTP/1.1 100 Continue\r\n\r\n").await;
    wire.send("hi").await;
    assert_eq!(wire.response().await.body, "hi");
}
