//! Too much to do: what is refused, and that what has ended is no more counted.

use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Semaphore;

use crate::stage::{Origin, Stage, Wire};

/// Three kinds of routes, and room for ten.
const THREE: &str = "
overload: { in_flight: 10 }
routes:
  - { id: low, match: { method: GET, path: /low }, to: origin, auth: none, why_public: a test, priority: low }
  - { id: normal, match: { method: GET, path: /normal }, to: origin, auth: none, why_public: a test }
  - { id: critical, match: { method: GET, path: /critical }, to: origin, auth: none, why_public: a test, priority: critical }
  - { id: live, match: { method: GET, path: /live }, to: origin, auth: none, why_public: a test, websocket: true }
";

const HANDSHAKE: &str = "GET /live HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
     Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// Answers as often as it has permits, and agrees to every upgrade.
async fn held() -> (Origin, Arc<Semaphore>) {
    let permits = Arc::new(Semaphore::new(0));
    let gate = permits.clone();
    let origin = Origin::raw(move |mut stream| {
        let gate = gate.clone();
        Box::pin(async move {
            let mut head = vec![0; 4096];
            while let Ok(1..) = stream.read(&mut head).await {
                if String::from_utf8_lossy(&head).to_lowercase().contains("upgrade: websocket") {
                    let _ = stream
                        .write_all(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")
                        .await;
                    let (mut read, mut write) = stream.split();
                    let _ = tokio::io::copy(&mut read, &mut write).await;
                    return;
                }
                gate.acquire().await.unwrap().forget();
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
            }
        })
    })
    .await;
    (origin, permits)
}

/// Requests that hang at the origin, as many as are in flight then.
async fn hang(stage: &Stage, count: usize) -> Vec<Wire> {
    let mut hanging = Vec::new();
    for _ in 0..count {
        let mut wire = stage.connect().await;
        wire.send("GET /critical HTTP/1.1\r\nHost: a\r\n\r\n").await;
        hanging.push(wire);
    }
    stage
        .metric_becomes("gateway_requests_in_flight", count as f64)
        .await;
    hanging
}

async fn refused(stage: &Stage, target: &str) -> bool {
    let mut wire = stage.connect().await;
    let head = format!("GET {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    wire.send(head).await;
    let answer = wire.response().await;
    if answer.status == 503 {
        assert_eq!(answer.code(), "overloaded");
        let wait: u64 = answer.all("retry-after")[0].parse().unwrap();
        assert!((1..=3).contains(&wait));
    }
    answer.status == 503
}

#[tokio::test]
async fn the_least_important_is_refused_first_and_let_in_again_last() {
    let (origin, permits) = held().await;
    let stage = Stage::before(origin, "", THREE).await;
    let mut hanging = hang(&stage, 7).await;
    assert!(refused(&stage, "/low").await, "at 70 %");
    hanging.extend(hang_more(&stage, &hanging, 9).await);
    assert!(refused(&stage, "/low").await);
    assert!(refused(&stage, "/normal").await, "at 85 %");
    hanging.extend(hang_more(&stage, &hanging, 10).await);
    assert!(refused(&stage, "/critical").await, "at 100 %");
    assert_eq!(stage.metric("gateway_overload_level"), 3.0);
    for (priority, count) in [("low", 2.0), ("normal", 1.0), ("critical", 1.0)] {
        let line = format!("gateway_shed_total{{priority=\"{priority}\"}}");
        assert_eq!(stage.metric(&line), count, "{priority}");
    }
    // A request without a route is as cheap as a refusal.
    assert_eq!(stage.get("/nothing", "").await.status, 404);

    // Down to six: what began at seven has not ended.
    permits.add_permits(4);
    stage
        .metric_becomes("gateway_requests_in_flight", 6.0)
        .await;
    assert!(refused(&stage, "/low").await);
    permits.add_permits(2);
    assert!(!refused(&stage, "/normal").await);
    // Clients that go away are not being answered any more.
    drop(hanging);
    permits.add_permits(100);
    stage
        .metric_becomes("gateway_requests_in_flight", 0.0)
        .await;
    assert!(!refused(&stage, "/low").await);
    assert_eq!(stage.metric("gateway_overload_level"), 0.0);
}

async fn hang_more(stage: &Stage, hanging: &[Wire], until: usize) -> Vec<Wire> {
    let mut more = Vec::new();
    for _ in hanging.len()..until {
        let mut wire = stage.connect().await;
        wire.send("GET /critical HTTP/1.1\r\nHost: a\r\n\r\n").await;
        more.push(wire);
    }
    stage
        .metric_becomes("gateway_requests_in_flight", until as f64)
        .await;
    more
}

#[tokio::test]
async fn open_websockets_are_not_being_answered() {
    let (origin, permits) = held().await;
    permits.add_permits(100);
    let stage = Stage::before(origin, "", THREE).await;
    let mut open = Vec::new();
    for _ in 0..20 {
        let mut wire = stage.connect().await;
        wire.send(HANDSHAKE).await;
        assert!(wire.until("\r\n\r\n").await.starts_with("HTTP/1.1 101"));
        open.push(wire);
    }
    assert!(!refused(&stage, "/low").await);
    drop(open);
    stage
        .metric_becomes("gateway_requests_in_flight", 0.0)
        .await;
    assert!(!refused(&stage, "/low").await);
}

/// Case 42 beside it: a panic takes its place back.
#[tokio::test]
async fn a_place_is_given_back_after_a_panic_and_a_hangup() {
    let (origin, permits) = held().await;
    let table = "
limits: { one: { per: ip, concurrent: 1 } }
plugins: { panics: { builtin: test_panics } }
routes:
  - { id: all, match: { method: GET, path: /** }, to: origin, auth: none, why_public: a test, limits: [one], plugins: [panics] }
";
    let stage = Stage::before(origin, "", table).await;
    for place in ["request", "wait", "response"] {
        // Only the last of them gets as far as the origin.
        permits.add_permits(usize::from(place == "response"));
        let answer = stage.get("/", &format!("X-Test-Panic: {place}\r\n")).await;
        assert_ne!(answer.status, 429, "{place}");
        stage
            .metric_becomes("gateway_requests_in_flight", 0.0)
            .await;
    }
    let mut hanging = hang(&stage, 1).await;
    let second = stage.get("/", "").await;
    assert_eq!(
        (second.status, second.code().as_str()),
        (429, "too_many_at_once")
    );
    hanging.clear();
    permits.add_permits(100);
    stage
        .metric_becomes("gateway_requests_in_flight", 0.0)
        .await;
    assert_eq!(stage.get("/", "").await.status, 200);
}
