mod corpus;

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
async fn gateway_04_a_pipelined_request_is_not_taken_for_part_of_the_first() {
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
async fn gateway_07_an_unread_body_is_no_request() {
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

/// The transport would answer these by itself, and nobody would know.
#[tokio::test]
async fn a_head_that_is_no_head_is_answered_and_written_down() {
    let stage = Stage::open(OPEN).await;
    for (head, status) in [
        (
            "GET /nul?token=secret HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n",
            400,
        ),
        ("CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n", 405),
        ("GET /two words HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET /future HTTP/1.9\r\nHost: a\r\n\r\n", 505),
        ("nonsense\r\n\r\n", 400),
        ("\x16\x03\x01\x02\0\x01\0", 400),
    ] {
        let mut wire = stage.connect().await;
        wire.send(head).await;
        let answer = wire.response().await;
        assert_eq!(answer.status, status, "{head}");
        let code = if status == 405 {
            "method_not_allowed"
        } else {
            "framing"
        };
        assert_eq!(answer.code(), code, "{head}");
        assert_eq!(answer.headers["connection"], "close");
        assert_eq!(wire.rest().await, "");
    }
    assert!(stage.origin.is_unasked().await);
    let metric = "gateway_connections_refused_total{listener=\"plain\",reason=\"head\"}";
    assert_eq!(stage.metric(metric), 0.0, "they became requests");
    let records = stage.records().await;
    let told: Vec<_> = records
        .iter()
        .map(|record| {
            format!(
                "{} {} {}",
                record["method"], record["path"], record["status"]
            )
        })
        .collect();
    for (record, line) in told.iter().zip([
        r#""GET" "/nul" 400"#,
        r#""CONNECT" "a:80" 405"#,
        r#""GET" "/two words" 400"#,
        r#""GET" "/future" 505"#,
        r#""nonsense" "" 400"#,
        r#""-" "" 400"#,
    ]) {
        assert_eq!(record, line);
    }
    assert_eq!(told.len(), 6);
}

/// What is behind a body was never looked at as a head: it must not become one.
#[tokio::test]
async fn what_follows_a_body_is_not_taken_for_a_head() {
    for framed in [
        "Content-Length: 3\r\n\r\nabc",
        "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    ] {
        let stage = Stage::open(OPEN).await;
        let answer = stage
            .raw(format!(
                "POST /first HTTP/1.1\r\nHost: a\r\n{framed}{HIDDEN}"
            ))
            .await;
        assert_eq!(answer.matches("HTTP/1.1 200").count(), 1, "{answer}");
        assert_eq!(stage.origin.asked().await.target, "/first");
        assert!(stage.origin.is_unasked().await);
    }
}

/// Nobody else's head either: the second one on a connection is looked at like the first.
#[tokio::test]
async fn a_later_head_is_judged_like_the_first() {
    let stage = Stage::open(OPEN).await;
    let mut wire = stage.connect().await;
    for target in ["/", "/nowhere/%2f", "/"] {
        wire.send(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n"))
            .await;
        let status = if target == "/" { 200 } else { 400 };
        assert_eq!(wire.response().await.status, status, "{target}");
    }
    wire.send("GET / HTTP/1.1\r\nHost: a\r\nX: a\x01b\r\n\r\n")
        .await;
    let answer = wire.response().await;
    assert_eq!((answer.status, answer.code().as_str()), (400, "framing"));
    assert_eq!(wire.rest().await, "");
}

/// A head may come byte by byte, and its body's chunks too.
#[tokio::test]
async fn a_request_that_comes_in_pieces_is_whole() {
    let stage = Stage::open(OPEN).await;
    let mut wire = stage.connect().await;
    let request = "POST /slow HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
                   5;ext=\"x\"\r\nhello\r\n1\r\n!\r\n0\r\nX-Sum: 1\r\n\r\n";
    for byte in request.as_bytes().chunks(1) {
        wire.send(byte).await;
        tokio::task::yield_now().await;
    }
    let answer = wire.response().await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "hello!"));
    let asked = stage.origin.asked().await;
    assert_eq!(
        (asked.target.as_str(), &asked.body[..]),
        ("/slow", &b"hello!"[..])
    );
    // And the connection goes on.
    wire.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(wire.response().await.status, 200);
}

/// When the body goes bad, its beginning is at the origin: it must not look whole there.
#[tokio::test]
async fn a_chunk_that_goes_bad_on_the_way_ends_the_request() {
    for bad in ["5;a\nb\r\nhello\r\n0\r\n\r\n", "0x5\r\n", "5\r\nhelloX"] {
        let seen = corpus::Seen::default();
        let stage = Stage::before(seen.origin().await, "", OPEN).await;
        let mut wire = stage.connect().await;
        wire.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
            .await;
        seen.holds("abc").await;
        wire.send(format!("{bad}{HIDDEN}")).await;
        let answer = wire.rest().await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{bad:?} got {answer:?}");
        assert!(answer.contains(r#""code":"framing""#), "{answer}");
        seen.ended().await;
        let text = seen.text();
        assert!(
            !text.contains("0\r\n\r\n") && !text.contains("hidden"),
            "{text:?}"
        );
    }
}
