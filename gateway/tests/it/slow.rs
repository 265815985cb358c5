use std::time::Duration;

use hyper_util::rt::{TokioExecutor, TokioIo};

use crate::stage::{Answer, OPEN, Origin, Stage};

/// Deadlines of a second: the shortest that the transport's own have.
const SHORT: &str =
    "idle_timeout: 1s, header_timeout: 1s, stall_timeout: 1s, handshake_timeout: 1s";
/// A deadline that passed is noticed within this.
const SOON: Duration = Duration::from_millis(3_500);

async fn short() -> Stage {
    Stage::before(Origin::start(Answer::echo).await, SHORT, OPEN).await
}

#[tokio::test]
async fn trap_01_an_idle_connection_is_closed() {
    let stage = short().await;
    let mut wire = stage.connect().await;
    wire.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(wire.response().await.status, 200);
    let took = wire.ends_after().await;
    assert!(took > Duration::from_millis(900) && took < SOON, "{took:?}");
}

#[tokio::test]
async fn trap_01_a_connection_in_use_is_not() {
    let stage = short().await;
    let mut wire = stage.connect().await;
    for _ in 0..4 {
        wire.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert_eq!(wire.response().await.status, 200);
        tokio::time::sleep(Duration::from_millis(600)).await;
    }
}

/// A deadline for a head is over with that head: the wait for the next one has its own.
#[tokio::test]
async fn an_answer_of_our_own_gives_the_next_head_its_time() {
    let listener = "idle_timeout: 10s, header_timeout: 1s";
    let stage = Stage::before(Origin::start(Answer::echo).await, listener, OPEN).await;
    let mut wire = stage.connect().await;
    for _ in 0..2 {
        // Refused before anything of a body, or of a next head, is looked for.
        wire.send("GET /a%2fb HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert_eq!(wire.response().await.status, 400);
        tokio::time::sleep(Duration::from_millis(1_300)).await;
    }
}

#[tokio::test]
async fn trap_02_a_head_has_one_deadline_however_it_drips() {
    let stage = short().await;
    let mut silent = stage.connect().await;
    assert!(silent.ends_after().await < SOON, "a silent connection");
    let mut reused = stage.connect().await;
    reused.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(reused.response().await.status, 200);
    for mut wire in [stage.connect().await, reused] {
        let start = std::time::Instant::now();
        let mut dripped = 0;
        for byte in b"GET / HTTP/1.1\r\nHost: a\r\nX-Long: yes it is and goes on\r\n".chunks(1) {
            wire.send(byte).await;
            dripped += 1;
            tokio::time::sleep(Duration::from_millis(100)).await;
            if start.elapsed() > SOON {
                break;
            }
        }
        assert_eq!(wire.rest().await, "", "after {dripped} bytes");
    }
    assert!(stage.origin.asked().await.target == "/" && stage.origin.is_unasked().await);
}

#[tokio::test]
async fn trap_03_an_idle_http2_connection_is_closed() {
    let stage = short().await;
    let stream = crate::tls::handshake(&stage, &[b"h2"]).await.unwrap();
    let start = std::time::Instant::now();
    let (mut send, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
    let request = http::Request::get(stage.url("/"))
        .body(String::new())
        .unwrap();
    let answered = tokio::spawn(async move {
        let status = send.send_request(request).await.unwrap().status();
        // Kept: a client that drops it would close by itself.
        (status, send)
    });
    let ended = tokio::time::timeout(SOON, connection).await;
    assert!(ended.is_ok(), "still open after {:?}", start.elapsed());
    assert_eq!(answered.await.unwrap().0, 200);
}

#[tokio::test]
async fn trap_03_a_silent_http2_connection_is_closed_too() {
    use tokio::io::AsyncReadExt as _;
    let stage = short().await;
    let mut stream = crate::tls::handshake(&stage, &[b"h2"]).await.unwrap();
    let mut got = Vec::new();
    let ended = tokio::time::timeout(SOON, stream.read_to_end(&mut got)).await;
    assert!(ended.is_ok(), "a connection without a preface stays open");
}

#[tokio::test]
async fn a_body_that_stalls_ends_its_request() {
    let stage = short().await;
    let mut wire = stage.connect().await;
    wire.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf")
        .await;
    let answer = wire.response().await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (408, "request_timeout")
    );
}

#[tokio::test]
async fn a_reader_that_stalls_is_cut() {
    let origin = Origin::start(|_| Answer::ok("x".repeat(64 << 20))).await;
    let stage = Stage::before(origin, SHORT, OPEN).await;
    let mut wire = stage.connect().await;
    wire.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    wire.until("\r\n\r\n").await;
    // Not reading on; what is served ends nevertheless.
    stage
        .metric_becomes("gateway_requests_in_flight", 0.0)
        .await;
}
