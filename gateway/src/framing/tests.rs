use super::*;
use http::Request;

/// Judges the bytes, and then the head that the transport would make of them.
fn judge(text: &str) -> Result<(), Fault> {
    let mut lines = text.split("\r\n");
    let mut first = lines.next().expect("a request line").split(' ');
    let h2 = text.contains("HTTP/2.0");
    if !h2 {
        let whole = raw::Reader::default().read(text.as_bytes(), 1_000)?;
        assert_eq!(whole.expect("all of it").length, text.len(), "{text}");
    }
    let mut request = Request::builder()
        .method(first.next().expect("a method"))
        .uri(first.next().expect("a target"))
        .version(if h2 {
            Version::HTTP_2
        } else {
            Version::HTTP_11
        });
    for line in lines.filter(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':').expect("a field");
        request = request.header(name, value.trim());
    }
    let (parts, ()) = request.body(()).expect("a head").into_parts();
    check(&parts, 1_000)
}

#[test]
fn what_can_be_read_in_two_ways_is_refused() {
    let long_target = format!(
        "GET /{} HTTP/1.1\r\nHost: a\r\n\r\n",
        "x".repeat(MAX_TARGET)
    );
    let long_head = format!(
        "GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n",
        "x".repeat(1_000)
    );
    for (raw, fault) in [
        ("GET / HTTP/1.1\r\n\r\n", Fault::Host),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", Fault::Host),
        ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", Fault::Host),
        ("GET / HTTP/1.1\r\nHost: a@b\r\n\r\n", Fault::Host),
        ("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", Fault::Host),
        ("GET / HTTP/1.1\r\nHost: a:99999\r\n\r\n", Fault::Host),
        ("GET / HTTP/1.1\r\nHost: \r\n\r\n", Fault::Host),
        ("GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", Fault::Host),
        ("GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n", Fault::Host),
        ("GET http://b/ HTTP/1.1\r\n\r\n", Fault::Host),
        ("GET https://b/ HTTP/2.0\r\nHost: a\r\n\r\n", Fault::Host),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\n",
            Fault::ContentLength,
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3, 3\r\n\r\n",
            Fault::ContentLength,
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\n",
            Fault::ContentLength,
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x3\r\n\r\n",
            Fault::ContentLength,
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: \r\n\r\n",
            Fault::ContentLength,
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
            Fault::TransferEncoding,
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\ncontent-length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
            Fault::TransferEncoding,
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
            Fault::TransferEncoding,
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
            Fault::TransferEncoding,
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \"chunked\"\r\n\r\n",
            Fault::TransferEncoding,
        ),
        (
            "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
            Fault::TransferEncoding,
        ),
        ("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", Fault::RequestLine),
        ("GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", Fault::RequestLine),
        ("GET /\r\n\r\n", Fault::RequestLine),
        ("G\"T / HTTP/1.1\r\nHost: a\r\n\r\n", Fault::RequestLine),
        ("GET / http/1.1\r\nHost: a\r\n\r\n", Fault::RequestLine),
        ("GET / HTTP/1.2\r\nHost: a\r\n\r\n", Fault::Version),
        ("GET / HTTP/0.9\r\nHost: a\r\n\r\n", Fault::Version),
        ("GET /\u{1} HTTP/1.1\r\nHost: a\r\n\r\n", Fault::Target),
        ("GET /\u{e9} HTTP/1.1\r\nHost: a\r\n\r\n", Fault::Target),
        ("GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", Fault::Target),
        ("GET a/b HTTP/1.1\r\nHost: a\r\n\r\n", Fault::Target),
        ("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", Fault::Target),
        ("GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", Fault::Target),
        ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", Fault::FieldName),
        ("GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n", Fault::FieldName),
        ("GET / HTTP/1.1\r\nHost: a\r\nX\r\n\r\n", Fault::FieldName),
        ("GET / HTTP/1.1\r\nHost: a\r\n: x\r\n\r\n", Fault::FieldName),
        (
            "GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n",
            Fault::ControlByte,
        ),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n",
            Fault::ControlByte,
        ),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n",
            Fault::ControlByte,
        ),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nX: \u{7f}\r\n\r\n",
            Fault::ControlByte,
        ),
        ("get / HTTP/1.1\r\nHost: a\r\n\r\n", Fault::Method),
        ("TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", Fault::Method),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: close, host\r\n\r\n",
            Fault::Connection,
        ),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: Authorization\r\n\r\n",
            Fault::Connection,
        ),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nAuthorization: a\r\nAuthorization: b\r\n\r\n",
            Fault::Repeated,
        ),
        (&long_target, Fault::TargetTooLong),
        (&long_head, Fault::HeadTooLong),
    ] {
        assert_eq!(judge(raw), Err(fault), "{raw}");
    }
}

#[test]
fn what_has_one_meaning_passes() {
    for raw in [
        "GET / HTTP/1.1\r\nHost: localhost:8443\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: [2001:db8::1]:443\r\n\r\n",
        "GET http://A.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n",
        "GET https://a.example/ HTTP/2.0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\nX-Content-Length: 3\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, x-identity\r\n\r\n",
    ] {
        assert_eq!(judge(raw), Ok(()), "{raw}");
    }
}

#[test]
fn only_websocket_and_only_where_the_route_has_it() {
    let mut headers = HeaderMap::new();
    assert_eq!(check_upgrade(&headers, false), Ok(()));
    headers.append(header::UPGRADE, http::HeaderValue::from_static("WebSocket"));
    assert_eq!(check_upgrade(&headers, true), Ok(()));
    assert_eq!(check_upgrade(&headers, false), Err(Fault::Upgrade));
    headers.append(header::UPGRADE, http::HeaderValue::from_static("h2c"));
    assert_eq!(check_upgrade(&headers, true), Err(Fault::Upgrade));
}

#[test]
fn one_empty_line_may_stand_before() {
    let read = |text: &str| raw::Reader::default().read(text.as_bytes(), 1_000);
    let head = "GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n";
    let length = head.len() + 2;
    let whole = raw::Whole {
        length,
        chunked: false,
    };
    assert_eq!(read(&format!("\r\n{head}")), Ok(Some(whole)));
    assert_eq!(read(&format!("\r\n\r\n{head}")), Err(Fault::RequestLine));
    assert_eq!(read(&format!("\n{head}")), Err(Fault::ControlByte));
}

/// However it comes, in one piece or byte by byte, a head is judged alike.
#[test]
fn a_head_may_come_in_pieces() {
    let text = b"POST http://a.example/x HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    let whole = raw::Whole {
        length: text.len() - 5,
        chunked: true,
    };
    let mut reader = raw::Reader::default();
    for until in 1..whole.length {
        assert_eq!(reader.read(&text[..until], 200), Ok(None), "{until}");
    }
    assert_eq!(reader.read(text, 200), Ok(Some(whole)));
    assert_eq!(raw::Reader::default().read(text, 200), Ok(Some(whole)));
    // What is too long is known before its end.
    assert_eq!(
        raw::Reader::default().read(&text[..60], 50),
        Err(Fault::HeadTooLong)
    );
    assert_eq!(
        raw::Reader::default().read(text, 50),
        Err(Fault::HeadTooLong)
    );
}

#[test]
fn another_protocol_is_told_at_once() {
    let read = |bytes: &[u8]| raw::Reader::default().read(bytes, 1_000);
    assert_eq!(read(b"\x16\x03\x01\x02\0\x01"), Err(Fault::ControlByte));
    assert_eq!(read(b"GET / HTTP/1.1\r\nX: \0"), Err(Fault::ControlByte));
    assert_eq!(read(b"GET / HTTP/1.1\r\nX:\t\r"), Ok(None));
}

#[test]
fn a_flood_of_fields_is_no_head() {
    let head = |fields: usize| {
        format!(
            "GET / HTTP/1.1\r\nHost: a\r\n{}\r\n",
            "a:\r\n".repeat(fields)
        )
    };
    let read = |text: String| raw::Reader::default().read(text.as_bytes(), 16_384);
    assert!(read(head(199)).is_ok());
    assert_eq!(read(head(200)), Err(Fault::HeadTooLong));
}

#[test]
fn chunks_have_one_frame() {
    let read = |text: &str| {
        let mut at_once = chunks::Chunks::default();
        let result = at_once.read(text.as_bytes());
        let mut in_pieces = chunks::Chunks::default();
        let pieces = text
            .as_bytes()
            .chunks(1)
            .try_for_each(|byte| in_pieces.read(byte));
        assert_eq!(result, pieces, "{text:?}");
        result
    };
    for good in [
        "0\r\n\r\n",
        "5\r\nhello\r\n0\r\n\r\n",
        "000A\r\n0123456789\r\n0\r\n\r\n",
        "5;name=value; other=\"quoted\"\r\nhello\r\n0;last\r\n\r\n",
        "5 \r\nhello\r\n0\r\n\r\n",
        "5\t ; x\r\nhello\r\n0\r\n\r\n",
        "1\r\n\n\r\n0\r\nX-Sum: 1\r\nY:\r\n\r\n",
        "0\r\n\r\nwhatever follows\n",
        "7fffffffffffff\r\nthe beginning of much",
    ] {
        assert_eq!(read(good), Ok(()), "{good:?}");
    }
    let long_extension = format!("5;{}\r\nhello\r\n", "x".repeat(5_000));
    let long_trailers = format!("0\r\n{}\r\n", "X: y\r\n".repeat(1_000));
    for bad in [
        "\r\n",
        ";x\r\n",
        " 5\r\nhello\r\n",
        "0_2e\r\n",
        "0x5\r\nhello\r\n",
        "+5\r\nhello\r\n",
        "-1\r\n",
        "5\nhello\r\n",
        "5 x\r\nhello\r\n",
        "5 5\r\nhello\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "5\r\nhelloX\r\n",
        "5\r\nhello0\r\n\r\n",
        "5\rXhello\r\n",
        "5;a\nb\r\nhello\r\n",
        "5;a\rb\r\nhello\r\n",
        "5;a\0\r\nhello\r\n",
        "fffffffffffffffff\r\n",
        "0\r\nX: a\nY: b\r\n\r\n",
        "0\r\n X: a\r\n\r\n",
        "0\r\nX : a\r\n\r\n",
        "0\r\n\rX",
        &long_extension,
        &long_trailers,
    ] {
        assert_eq!(read(bad), Err(Fault::Chunk), "{bad:?}");
    }
}
