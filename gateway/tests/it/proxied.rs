//! Connections that begin with a PROXY header.

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::shake::{self, BOTH};
use crate::stage::{Answer, OPEN, Origin, Stage, Wire};

const PROXIED: &str =
    "proxy_protocol: required, trusted_proxies: [127.0.0.0/8], handshake_timeout: 1s";
const GET: &str = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
const LINE: &str = "PROXY TCP4 192.0.2.7 10.0.0.1 4711 443\r\n";

async fn stage() -> Stage {
    Stage::before(Origin::start(Answer::echo).await, PROXIED, OPEN).await
}

fn refused(listener: &str, reason: &str) -> String {
    format!("gateway_connections_refused_total{{listener=\"{listener}\",reason=\"{reason}\"}}")
}

#[tokio::test]
async fn the_header_says_who_the_client_is() {
    let stage = stage().await;
    let answer = stage.raw(format!("{LINE}{GET}")).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(
        stage.origin.asked().await.headers["x-forwarded-for"],
        "192.0.2.7"
    );
    // And in bytes, before a handshake.
    let client = shake::client(&stage.trusted, None, BOTH, &[b"http/1.1"]);
    let mut tcp = TcpStream::connect(stage.https).await.unwrap();
    let mut head = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".to_vec();
    head.extend([192, 0, 2, 8, 10, 0, 0, 1, 0x12, 0x67, 1, 0xbb]);
    tcp.write_all(&head).await.unwrap();
    let mut stream = shake::over(&client, tcp, "localhost").await.unwrap();
    let answer = shake::get(&mut stream, "localhost", "/").await.unwrap();
    assert_eq!(answer.status, 200);
    assert_eq!(
        stage.origin.asked().await.headers["x-forwarded-for"],
        "192.0.2.8"
    );
}

#[tokio::test]
async fn what_begins_otherwise_is_closed_unanswered() {
    let stage = stage().await;
    for (times, bytes) in [GET, "PROXY TCP4 what\r\n", &"P".repeat(500)]
        .into_iter()
        .enumerate()
    {
        assert_eq!(stage.raw(bytes).await, "", "{bytes}");
        let count = f64::from(u32::try_from(times + 1).unwrap());
        stage
            .metric_becomes(&refused("plain", "proxy_header"), count)
            .await;
    }
    let mut silent = stage.connect().await;
    silent.send("PROXY TCP4").await;
    assert_eq!(silent.rest().await, "");
    stage
        .metric_becomes(&refused("plain", "proxy_timeout"), 1.0)
        .await;
    stage
        .metric_becomes("gateway_connections{listener=\"plain\"}", 0.0)
        .await;
    assert!(stage.origin.is_unasked().await);
}

#[tokio::test]
async fn nobody_else_may_say_who_they_are() {
    let stage = stage().await;
    let others = PROXIED.replace("127.0.0.0/8", "192.0.2.0/24");
    stage.reload(&others, OPEN).await;
    assert_eq!(stage.raw(format!("{LINE}{GET}")).await, "");
    stage
        .metric_becomes(&refused("plain", "proxy_untrusted"), 1.0)
        .await;
}

#[tokio::test]
async fn shares_of_connections_are_the_clients_and_not_the_balancers() {
    let stage = stage().await;
    stage
        .reload(&format!("{PROXIED}, max_connections_per_ip: 1"), OPEN)
        .await;
    let open = async |client: &str| {
        let mut wire = Wire::open(stage.plain).await;
        wire.send(format!(
            "PROXY TCP4 {client} 10.0.0.1 1 1\r\nGET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
        ))
        .await;
        wire
    };
    let mut first = open("192.0.2.7").await;
    assert_eq!(first.response().await.status, 200);
    let mut other = open("192.0.2.8").await;
    assert_eq!(other.response().await.status, 200);
    assert_eq!(open("192.0.2.7").await.rest().await, "");
    stage.metric_becomes(&refused("plain", "per_ip"), 1.0).await;
}

#[tokio::test]
async fn without_it_a_header_is_no_request() {
    let stage = Stage::open(OPEN).await;
    let answer = stage.raw(format!("{LINE}{GET}")).await;
    assert!(!answer.starts_with("HTTP/1.1 200"), "{answer}");
}
