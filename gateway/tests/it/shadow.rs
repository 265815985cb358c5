//! A policy on trial: what it would refuse is counted, and nobody notices it.

use crate::stage::Stage;

const TRIED: &str = "
plugins:
  reads: { builtin: test_reads, limit: 1000, mode: shadow }
  headers: { builtin: headers, mode: shadow, request: { set: { x-edge: '1' } }, response: { set: { x-edge: '1' } } }
  cors: { builtin: cors, origins: ['https://app.test'], methods: [GET], mode: shadow }
routes:
  - { id: all, match: { method: [GET, POST], path: /** }, to: origin, auth: none, why_public: a test, plugins: [reads, headers, cors] }
";

const COUNTED: &str = "gateway_would_deny_total{policy=\"reads\",route=\"all\"}";

/// A body that can't be sent on once somebody has begun to read it is not read on trial.
#[tokio::test]
async fn gateway_36_a_body_is_judged_on_trial_without_harm() {
    let stage = Stage::open(TRIED).await;
    let long = "x".repeat(100_000);
    let mut wire = stage.connect().await;
    let head = "POST / HTTP/1.1\r\nHost: a\r\n";
    wire.send(&format!(
        "{head}Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{long}\r\n0\r\n\r\n",
        long.len()
    ))
    .await;
    let answer = wire.response().await;
    assert_eq!((answer.status, answer.body.len()), (200, long.len()));
    assert!(stage.metric(COUNTED) < 1.0, "it was not judged");
    for (body, counted) in [("a bad one", 1.0), (long.as_str(), 2.0), ("good", 2.0)] {
        wire.send(&format!(
            "{head}Content-Length: {}\r\n\r\n{body}",
            body.len()
        ))
        .await;
        let answer = wire.response().await;
        assert_eq!((answer.status, answer.body.as_str()), (200, body));
        stage.metric_becomes(COUNTED, counted).await;
    }
}

#[tokio::test]
async fn neither_side_sees_what_is_on_trial() {
    let stage = Stage::open(TRIED).await;
    let answer = stage.get("/", "Origin: https://app.test\r\n").await;
    assert_eq!(answer.status, 200);
    for header in ["x-edge", "access-control-allow-origin"] {
        assert!(!answer.headers.contains_key(header), "{header}");
    }
    let asked = stage.origin.asked().await;
    assert!(!asked.headers.contains_key("x-edge"));
}
