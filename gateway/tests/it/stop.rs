use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Notify;

use crate::stage::{OPEN, Origin, Stage};

#[tokio::test]
async fn trap_08_an_idle_edge_stops_at_once() {
    let stage = Stage::open(OPEN).await;
    let mut idle = stage.connect().await;
    idle.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(idle.response().await.status, 200);
    let client = stage.client(true);
    assert_eq!(
        client.get(stage.url("/")).send().await.unwrap().status(),
        200
    );
    let start = Instant::now();
    assert!(
        stage.edge.stop(Duration::from_secs(5)).await,
        "it did not drain"
    );
    assert!(
        start.elapsed() < Duration::from_secs(2),
        "{:?}",
        start.elapsed()
    );
    assert_eq!(idle.rest().await, "");
}

#[tokio::test]
async fn trap_08_a_request_under_way_is_finished_and_no_other_is_taken() {
    let (let_go, held) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (until, begun) = (let_go.clone(), held.clone());
    let origin = Origin::raw(move |mut stream| {
        let (until, begun) = (until.clone(), begun.clone());
        Box::pin(async move {
            let _ = stream.read(&mut [0; 4096]).await;
            begun.notify_one();
            until.notified().await;
            let _ = stream
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate")
                .await;
        })
    })
    .await;
    let stage = Stage::before(origin, "", OPEN).await;
    let mut wire = stage.connect().await;
    wire.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    held.notified().await;
    let plain = stage.plain;
    let stopping = tokio::spawn(async move { stage.edge.stop(Duration::from_secs(8)).await });
    while tokio::net::TcpStream::connect(plain).await.is_ok() {
        tokio::task::yield_now().await;
    }
    let_go.notify_one();
    let answer = wire.response().await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "late"));
    assert!(stopping.await.unwrap());
}

#[tokio::test]
async fn a_request_that_never_ends_does_not_keep_the_edge_and_leaves_its_record() {
    let origin = Origin::silent().await;
    let stage = Stage::before(origin, "", OPEN).await;
    let mut wire = stage.connect().await;
    wire.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let http2 = stage.client(true).get(stage.url("/")).send();
    tokio::spawn(http2);
    stage
        .metric_becomes("gateway_requests_in_flight", 2.0)
        .await;
    let (finished, records) = stage.records_within(Duration::from_millis(200)).await;
    assert!(!finished);
    assert_eq!(records.len(), 2);
    assert!(records.iter().all(|record| record["aborted"] == true));
}
