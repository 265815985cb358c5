use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame};
use hyper_util::rt::{TokioExecutor, TokioIo};

use crate::stage::{Answer, Origin, Stage, counted};

const TABLE: &str = "
plugins:
  counts: { builtin: test_counts }
caches:
  catalog: { ttl: 30s, stale: 60s, vary: [accept-language], max_size: 1MiB }
routes:
  - { id: kept, match: { method: [GET, POST], path: /** }, to: origin, auth: none, why_public: a test, cache: catalog }
  - { id: counted, match: { method: GET, path: /counted }, to: origin, auth: none, why_public: a test, cache: catalog, plugins: [counts] }
";

/// Numbers its answers and does what the query says with their headers.
async fn numbering() -> (Stage, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let origin = Origin::start(move |asked| {
        let number = count.fetch_add(1, Ordering::SeqCst);
        let answer = Answer::ok(format!("answer {number}"));
        match asked.target.split_once('?').map(|(_, query)| query) {
            Some("cookie") => answer.header("set-cookie", "sid=1"),
            Some("private") => answer.header("cache-control", "private"),
            Some("vary") => answer.header("vary", "*"),
            Some("old") => answer
                .header("cache-control", "max-age=60")
                .header("age", "61"),
            Some("error") => answer.status(500),
            Some("stale") => answer.header("cache-control", "max-age=0, stale-while-revalidate=60"),
            _ => answer,
        }
    })
    .await;
    (Stage::before(origin, "", TABLE).await, asked)
}

fn status(answer: &crate::stage::parse::Response) -> &str {
    answer.headers["cache-status"].to_str().unwrap()
}

#[tokio::test]
async fn the_second_answer_is_a_hit_and_says_so() {
    let (stage, asked) = numbering().await;
    let first = stage.get("/v1/rates?b=2&a=1", "").await;
    assert!(
        status(&first).starts_with("vorota; fwd=uri-miss; stored"),
        "{first:?}"
    );
    let second = stage.get("/v1/rates?a=1&b=2", "").await;
    assert!(
        status(&second).starts_with("vorota; hit; ttl="),
        "{second:?}"
    );
    assert_eq!(second.body, first.body);
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    assert_eq!(
        stage.metric("gateway_cache_total{outcome=\"hit\",policy=\"catalog\"}"),
        1.0
    );
    let records = stage.records().await;
    assert_eq!(
        (&records[0]["cache"], &records[1]["cache"]),
        (&"miss".into(), &"hit".into())
    );
}

#[tokio::test]
async fn gateway_34_what_belongs_to_one_caller_is_never_kept() {
    let (stage, asked) = numbering().await;
    for (target, headers) in [
        ("/?cookie", ""),
        ("/?private", ""),
        ("/?vary", ""),
        ("/?old", ""),
        ("/?error", ""),
        ("/token", "Authorization: Bearer a\r\n"),
        ("/crumbs", "Cookie: a=1\r\n"),
    ] {
        let before = asked.load(Ordering::SeqCst);
        let (one, two) = (
            stage.get(target, headers).await,
            stage.get(target, headers).await,
        );
        assert_ne!(one.body, two.body, "{target}");
        assert!(!status(&two).contains("hit"), "{two:?}");
        assert_eq!(asked.load(Ordering::SeqCst), before + 2, "{target}");
    }
}

#[tokio::test]
async fn gateway_34_answers_differ_by_host_and_by_what_the_policy_names() {
    let (stage, _) = numbering().await;
    let plain = stage.get("/", "").await.body;
    assert_ne!(stage.get("/", "Accept-Language: fr\r\n").await.body, plain);
    assert_ne!(stage.get("/", "Accept-Language: de\r\n").await.body, plain);
    assert_eq!(
        stage.get("/", "X-Forwarded-Host: evil\r\n").await.body,
        plain
    );
    let mut wire = stage.connect().await;
    wire.send("GET / HTTP/1.1\r\nHost: other.test\r\n\r\n")
        .await;
    assert_ne!(wire.response().await.body, plain);
}

#[tokio::test]
async fn heads_and_ranges_are_answered_from_what_is_kept() {
    let (stage, asked) = numbering().await;
    assert_eq!(stage.get("/", "").await.body, "answer 0");
    let part = stage.get("/", "Range: bytes=0-5\r\n").await;
    assert_eq!((part.status, part.body.as_str()), (206, "answer"));
    let mut wire = stage.connect().await;
    wire.send("HEAD / HTTP/1.1\r\nHost: edge.test\r\n\r\n")
        .await;
    let head = wire.until("\r\n\r\n").await;
    assert!(
        head.to_lowercase().contains("cache-status: vorota; hit"),
        "{head}"
    );
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

/// Asked with a `GET` for the cache's sake, the upstream answers with a body that is not the
/// client's.
#[tokio::test]
async fn a_head_over_http2_is_answered_without_the_body_that_is_kept() {
    let (stage, asked) = numbering().await;
    let client = stage.client(true);
    for outcome in ["uri-miss", "hit"] {
        let head = client.head(stage.url("/")).send().await.unwrap();
        assert_eq!(head.status(), 200);
        let said = head.headers()["cache-status"].to_str().unwrap();
        assert!(said.contains(outcome), "{said}");
    }
    let whole = client.get(stage.url("/")).send().await.unwrap();
    assert_eq!(whole.text().await.unwrap(), "answer 0");
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    let records = stage.records().await;
    let bytes: Vec<_> = records.iter().map(|record| &record["bytes_out"]).collect();
    assert_eq!(bytes, [0, 0, 8]);
}

/// A body that does not say its length beforehand.
struct Unannounced(Option<Bytes>);

impl Body for Unannounced {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Poll::Ready(self.0.take().map(|bytes| Ok(Frame::data(bytes))))
    }
}

/// Over HTTP/2 no header has to say that there is a body.
#[tokio::test]
async fn the_answer_to_a_get_with_a_body_is_not_kept() {
    let (stage, asked) = numbering().await;
    let stream = crate::tls::handshake(&stage, &[b"h2"]).await.unwrap();
    let (mut send, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
    tokio::spawn(connection);
    for body in [Some(Bytes::from_static(b"poison")), None] {
        let request = http::Request::get(stage.url("/")).body(Unannounced(body));
        let answer = send.send_request(request.unwrap()).await.unwrap();
        let said = answer.headers()["cache-status"].to_str().unwrap();
        assert!(!said.contains("hit"), "{said}");
    }
    assert_eq!(asked.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn gateway_35_many_who_wait_for_one_answer_ask_once() {
    let (stage, asked) = numbering().await;
    let all = (0..20).map(|_| stage.get("/cold", ""));
    for answer in futures::future::join_all(all).await {
        assert_eq!(answer.body, "answer 0");
    }
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn trap_19_refreshing_a_stale_answer_is_nobodys_request() {
    let (stage, asked) = numbering().await;
    let before = counted();
    assert_eq!(stage.get("/counted?stale", "").await.body, "answer 0");
    let stale = stage.get("/counted?stale", "").await;
    assert_eq!(stale.body, "answer 0", "served stale");
    while asked.load(Ordering::SeqCst) < 2 {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    stage
        .metric_becomes("gateway_requests_in_flight", 0.0)
        .await;
    assert_eq!(
        counted() - before,
        2,
        "the refresh was counted as a request"
    );
    assert_eq!(stage.records().await.len(), 2);
}

#[tokio::test]
async fn gateway_35_an_answer_that_breaks_off_is_not_kept() {
    let origin = Origin::breaking_off().await;
    let stage = Stage::before(origin, "", TABLE).await;
    for _ in 0..2 {
        let all = stage.raw("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert!(!all.contains("vorota; hit"), "{all}");
    }
    assert_eq!(stage.origin.connections(), 2);
}
