use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::stage::{OPEN, Stage, Wire};

const OTHER: &str = "
routes:
  - { id: all, match: { method: [GET, POST], path: /** }, to: origin, auth: none, why_public: a test }
  - { id: extra, match: { method: GET, path: /extra }, to: origin, auth: none, why_public: a test }
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_fails_while_tables_come_and_go() {
    let stage = Stage::open(OPEN).await;
    let (served, done) = (AtomicUsize::new(0), AtomicBool::new(false));
    let client = stage.client(true);
    let load = async {
        while !done.load(Ordering::SeqCst) {
            assert_eq!(
                client
                    .get(stage.url("/extra"))
                    .send()
                    .await
                    .unwrap()
                    .status(),
                200
            );
            assert_eq!(stage.get("/", "").await.status, 200);
            served.fetch_add(2, Ordering::SeqCst);
        }
    };
    let reloads = async {
        let mut round = 0;
        while served.load(Ordering::SeqCst) < 100 {
            stage
                .reload("", if round % 2 == 0 { OTHER } else { OPEN })
                .await;
            round += 1;
        }
        assert!(round > 5, "{round}");
        done.store(true, Ordering::SeqCst);
    };
    tokio::join!(load, reloads);
}

#[tokio::test]
async fn listeners_come_and_go_while_others_serve() {
    let stage = Stage::open(OPEN).await;
    let with_second = stage.table("", OPEN).replace(
        "management:",
        "  second: { bind: \"127.0.0.1:0\", http: [h1] }\nmanagement:",
    );
    stage.reload_table(&with_second).await;
    let second = stage.edge.addresses().await["second"];
    let mut wire = Wire::open(second).await;
    wire.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(wire.response().await.status, 200);
    stage.reload("", OPEN).await;
    assert_eq!(wire.rest().await, "", "its idle connections end");
    while tokio::net::TcpStream::connect(second).await.is_ok() {
        tokio::task::yield_now().await;
    }
    assert_eq!(
        stage.edge.addresses().await["plain"],
        stage.plain,
        "the others stay"
    );
    assert_eq!(stage.get("/", "").await.status, 200);
}

#[tokio::test]
async fn a_listener_takes_new_bounds_without_closing() {
    let stage = Stage::open(OPEN).await;
    let long = format!("X: {}\r\n", "x".repeat(3_000));
    assert_eq!(stage.get("/", &long).await.status, 200);
    stage
        .reload("", &format!("defaults: {{ max_header: 2KiB }}\n{OPEN}"))
        .await;
    assert_eq!(stage.get("/", &long).await.status, 431);
}
