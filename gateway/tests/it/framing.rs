use crate::stage::{OPEN, Stage};

/// A request that hides behind another one's body would be seen at the origin.
const HIDDEN: &str = "GET /hidden HTTP/1.1\r\nHost: a\r\n\r\n";

#[tokio::test]
async fn what_can_be_read_in_two_ways_never_reaches_the_origin() {
    let stage = Stage::open(OPEN).await;
    for head in [
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: user@a\r\n\r\n",
        "GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3, 3\r\n\r\nabc",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\nabc",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x3\r\n\r\nabc",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: a\x01b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n",
        "GET /a\x01b HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: close, content-length\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nAuthorization: a\r\nAuthorization: b\r\n\r\n",
        "get / HTTP/1.1\r\nHost: a\r\n\r\n",
        "TRACE / HTTP/1.1\r\nHost: a\r\n\r\n",
        "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n",
        "FOO / HTTP/1.1\r\nHost: a\r\n\r\n",
    ] {
        let answer = stage.raw(format!("{head}{HIDDEN}")).await;
        let status = answer.split(' ').nth(1).unwrap_or("none");
        assert!(matches!(status, "400" | "405"), "{head:?} got {answer:?}");
        assert_eq!(
            answer.matches("HTTP/1.1 ").count(),
            1,
            "{head:?} got {answer:?}"
        );
        assert!(
            stage.origin.is_unasked().await,
            "{head:?} reached the origin"
        );
    }
}

#[tokio::test]
async fn a_refusal_of_framing_is_a_problem_with_a_code() {
    let stage = Stage::open(OPEN).await;
    let mut wire = stage.connect().await;
    wire.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc")
        .await;
    let answer = wire.response().await;
    assert_eq!((answer.status, answer.code().as_str()), (400, "framing"));
    assert_eq!(answer.headers["connection"], "close");
    assert!(wire.rest().await.is_empty());
}

#[tokio::test]
async fn broken_chunks_are_not_forwarded_whole() {
    let stage = Stage::open(OPEN).await;
    let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    for chunks in [
        "0_2e\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        "5\nhello\n0\n\n",
        "fffffffffffffffff\r\n",
        "-1\r\n",
    ] {
        let answer = stage.raw(format!("{head}{chunks}{HIDDEN}")).await;
        assert!(
            !answer.starts_with("HTTP/1.1 2"),
            "{chunks:?} got {answer:?}"
        );
        assert!(
            stage.origin.is_unasked().await,
            "{chunks:?} reached the origin"
        );
    }
}

#[tokio::test]
async fn a_pipelined_request_is_not_taken_for_part_of_the_first() {
    let stage = Stage::open(OPEN).await;
    let answer = stage
        .raw(format!("GET /first HTTP/1.1\r\nHost: a\r\n\r\n{HIDDEN}"))
        .await;
    assert_eq!(answer.matches("HTTP/1.1 200").count(), 1, "{answer}");
    assert_eq!(stage.origin.asked().await.target, "/first");
    assert!(stage.origin.is_unasked().await);
}

/// Security case 7: a body that nobody read must not be read as the next request.
#[tokio::test]
async fn an_unread_body_is_no_request() {
    let stage = Stage::open(OPEN).await;
    let body = HIDDEN;
    let answer = stage
        .raw(format!(
            "POST /nowhere/%2f HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ))
        .await;
    assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
    assert!(stage.origin.is_unasked().await);
}

#[tokio::test]
async fn an_absolute_target_means_its_own_host() {
    let stage = Stage::open(OPEN).await;
    let mut wire = stage.connect().await;
    wire.send("GET http://edge.test/v1/x?y=1 HTTP/1.1\r\nHost: edge.test\r\n\r\n")
        .await;
    assert_eq!(wire.response().await.status, 200);
    let asked = stage.origin.asked().await;
    assert_eq!(asked.target, "/v1/x?y=1");
    assert_eq!(asked.headers["host"], "edge.test");
}

/// The transport refuses some heads itself; they leave no record, but they are counted.
#[tokio::test]
async fn a_head_that_is_no_head_is_counted() {
    let stage = Stage::open(OPEN).await;
    let answer = stage
        .raw("GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n")
        .await;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    let unserved = "gateway_connections_refused_total{listener=\"plain\",reason=\"head\"}";
    stage.metric_becomes(unserved, 1.0).await;
    assert_eq!(stage.get("/", "").await.status, 200);
    assert_eq!(
        stage.metric(unserved),
        1.0,
        "a request that is served is not"
    );
}
