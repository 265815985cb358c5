use futures::StreamExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::stage::{OPEN, Origin, Stage};

const WEBSOCKET: &str = "
routes:
  - { id: live, match: { method: GET, path: /live }, to: origin, auth: none, why_public: a test, websocket: true }
  - { id: all, match: { method: GET, path: /** }, to: origin, auth: none, why_public: a test }
";
const HANDSHAKE: &str = "HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
     Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// Agrees to an upgrade and then gives back what it gets.
async fn mirror() -> Origin {
    Origin::raw(|mut stream| {
        Box::pin(async move {
            let mut head = vec![0; 4096];
            let n = stream.read(&mut head).await.unwrap_or(0);
            let head = String::from_utf8_lossy(&head[..n]).to_lowercase();
            if !head.contains("upgrade: websocket") {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno").await;
                return;
            }
            let _ = stream
                .write_all(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")
                .await;
            let (mut read, mut write) = stream.split();
            let _ = tokio::io::copy(&mut read, &mut write).await;
        })
    })
    .await
}

#[tokio::test]
async fn a_websocket_goes_through_where_the_route_has_it() {
    let stage = Stage::before(mirror().await, "", WEBSOCKET).await;
    let mut wire = stage.connect().await;
    wire.send(format!("GET /live {HANDSHAKE}")).await;
    let head = wire.until("\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    for word in ["ping", "pong"] {
        wire.send(word).await;
        wire.until(word).await;
    }
}

#[tokio::test]
async fn no_other_upgrade_and_no_other_route() {
    let stage = Stage::before(mirror().await, "", WEBSOCKET).await;
    let refused = stage.raw(format!("GET /elsewhere {HANDSHAKE}")).await;
    assert!(refused.starts_with("HTTP/1.1 400"), "{refused}");
    let h2c = HANDSHAKE.replace("Upgrade: websocket", "Upgrade: h2c");
    let refused = stage.raw(format!("GET /live {h2c}")).await;
    assert!(refused.starts_with("HTTP/1.1 400"), "{refused}");
    assert_eq!(stage.origin.connections(), 0);
}

/// Security case 4 (CVE-2026-2833): bytes after a handshake that the origin turned down are a
/// request of their own and are judged, or dropped: never passed on.
#[tokio::test]
async fn gateway_04_what_follows_a_refused_upgrade_is_not_passed_on() {
    let origin = Origin::start(|_| crate::stage::Answer::ok("no")).await;
    let stage = Stage::before(origin, "", WEBSOCKET).await;
    let all = stage
        .raw(format!(
            "GET /live {HANDSHAKE}GET /hidden/%2f HTTP/1.1\r\nHost: a\r\n\r\n"
        ))
        .await;
    assert!(all.starts_with("HTTP/1.1 200"), "{all}");
    assert_eq!(stage.origin.asked().await.target, "/live");
    assert!(stage.origin.is_unasked().await);
}

/// Security case 5: asking for an upgrade changes no rule.
#[tokio::test]
async fn gateway_05_an_upgrade_is_judged_like_any_request() {
    let routes = WEBSOCKET.replace(
        "auth: none, why_public: a test, websocket: true",
        "auth: user, websocket: true",
    );
    let routes = format!("auth: {{ user: {{ test_who: {{}} }} }}{routes}");
    let stage = Stage::before(mirror().await, "", &routes).await;
    let mut wire = stage.connect().await;
    wire.send(format!("GET /live {HANDSHAKE}")).await;
    let refused = wire.until("\r\n\r\n").await;
    assert!(refused.starts_with("HTTP/1.1 401"), "{refused}");
    assert_eq!(stage.origin.connections(), 0);
    let mut wire = stage.connect().await;
    let known = HANDSHAKE.replace("Host: a", "Host: a\r\nX-Test-User: u1");
    wire.send(format!("GET /live {known}")).await;
    let head = wire.until("\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
}

/// Security case 6 (Pingora #946): an origin that agrees at once, before the request's end is
/// noticed, keeps its tunnel.
#[tokio::test]
async fn gateway_06_a_tunnel_that_opens_at_once_stays_open() {
    let stage = Stage::before(mirror().await, "", WEBSOCKET).await;
    let tunnels = (0..1_000).map(|number: u32| {
        let stage = &stage;
        async move {
            let mut wire = stage.connect().await;
            wire.send(format!("GET /live {HANDSHAKE}")).await;
            let head = wire.until("\r\n\r\n").await;
            assert!(head.starts_with("HTTP/1.1 101"), "{head}");
            let word = format!("word {number} ends here");
            wire.send(&word).await;
            wire.until(&word).await;
        }
    });
    // A few dozen at a time: enough to keep both ends busy.
    futures::stream::iter(tunnels)
        .buffer_unordered(32)
        .collect::<Vec<()>>()
        .await;
}

#[tokio::test]
async fn an_upgrade_nobody_asked_for_is_not_believed() {
    let origin = Origin::raw(|mut stream| {
        Box::pin(async move {
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream
                .write_all(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")
                .await;
            let _ = stream.read(&mut [0; 4096]).await;
        })
    })
    .await;
    let stage = Stage::before(origin, "", OPEN).await;
    assert_eq!(stage.get("/", "").await.status, 502);
}
