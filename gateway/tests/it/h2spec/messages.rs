//! RFC 9113 §8: requests. Security case 10.

use super::*;

/// A malformed request is a stream's error.
const MALFORMED: Sight = Sight::StreamError(&[PROTOCOL]);

fn request(number: &'static str, all: &[(&str, &str)]) -> Case {
    let block = fields(all);
    case(
        number,
        &[headers(1, END_HEADERS | END_STREAM, &block)],
        MALFORMED,
    )
}

pub(super) fn cases() -> Vec<Case> {
    [heads(), trailers()].into_iter().flatten().collect()
}

fn heads() -> Vec<Case> {
    let method = (":method", "GET");
    let scheme = (":scheme", "https");
    let path = (":path", "/");
    let authority = (":authority", "localhost");
    vec![
        request(
            "http2/8.1.2/1",
            &[method, scheme, path, authority, ("X-TEST", "ok")],
        ),
        request(
            "http2/8.1.2.1/1",
            &[method, scheme, path, authority, (":test", "ok")],
        ),
        request(
            "http2/8.1.2.1/2",
            &[method, scheme, path, authority, (":status", "200")],
        ),
        request(
            "http2/8.1.2.1/4",
            &[("x-test", "ok"), method, scheme, path, authority],
        ),
        request(
            "http2/8.1.2.2/1",
            &[
                method,
                scheme,
                path,
                authority,
                ("connection", "keep-alive"),
            ],
        ),
        request(
            "http2/8.1.2.2/2",
            &[method, scheme, path, authority, ("te", "trailers, deflate")],
        ),
        request(
            "http2/8.1.2.3/1",
            &[method, scheme, (":path", ""), authority],
        ),
        request("http2/8.1.2.3/2", &[scheme, path, authority]),
        request("http2/8.1.2.3/3", &[method, path, authority]),
        request("http2/8.1.2.3/4", &[method, scheme, authority]),
        request(
            "http2/8.1.2.3/5",
            &[method, scheme, path, authority, method],
        ),
        request(
            "http2/8.1.2.3/6",
            &[method, scheme, path, authority, scheme],
        ),
        request("http2/8.1.2.3/7", &[method, scheme, path, authority, path]),
    ]
}

fn trailers() -> Vec<Case> {
    let announced = [head("POST"), field("content-length", "1")].concat();
    let announced = || headers(1, END_HEADERS, &announced);
    let promise = [&3_u32.to_be_bytes()[..], &head("GET")].concat();
    vec![
        // A second head that is no end.
        case(
            "http2/8.1/1",
            &[
                post(1),
                data(1, 0, b"test"),
                headers(1, END_HEADERS, &field("x-test", "ok")),
            ],
            MALFORMED,
        ),
        case(
            "http2/8.1.2.1/3",
            &[
                post(1),
                data(1, 0, b"test"),
                headers(1, END_HEADERS, &field(":method", "POST")),
            ],
            MALFORMED,
        ),
        case(
            "http2/8.1.2.6/1",
            &[announced(), data(1, END_STREAM, b"test")],
            MALFORMED,
        ),
        case(
            "http2/8.1.2.6/2",
            &[
                announced(),
                data(1, 0, b"test"),
                data(1, END_STREAM, b"test"),
            ],
            MALFORMED,
        ),
        case(
            "http2/8.2/1",
            &[frame(PUSH_PROMISE, END_HEADERS, 1, &promise)],
            Sight::ConnectionError(&[PROTOCOL]),
        ),
    ]
}

#[tokio::test]
async fn gateway_10_h2spec_8_messages() {
    play("8", cases()).await;
}

/// Security case 8 over HTTP/2: trailers may be taken in, and end at the gateway. The library drops
/// pseudo-headers in them, which is why this is not left to it alone.
#[tokio::test]
async fn gateway_08_trailers_over_http2_go_no_further() {
    let stage = Stage::open(OPEN).await;
    let trailers = fields(&[
        (":path", "/admin"),
        ("x-user-id", "admin"),
        ("content-length", "9"),
    ]);
    let sent = [
        post(1),
        data(1, 0, b"test"),
        headers(1, END_HEADERS | END_STREAM, &trailers),
    ];
    let mut peer = Peer::connect(&stage).await;
    peer.play(&case("trailers", &sent, Sight::EndOfStream(1)))
        .await
        .unwrap();
    let asked = stage.origin.asked().await;
    assert_eq!(
        (asked.target.as_str(), &asked.body[..]),
        ("/", &b"test"[..])
    );
    assert!(
        !asked.headers.contains_key("x-user-id") && asked.trailers.is_none(),
        "{asked:?}"
    );
    assert!(stage.origin.is_unasked().await);
}
