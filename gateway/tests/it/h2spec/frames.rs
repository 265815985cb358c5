//! RFC 9113 §3 and §4: the opening, frames and their sizes.

use super::*;

const DATA_8: [u8; 8] = *b"whatever";
/// A type that nobody has given a meaning.
const UNKNOWN: u8 = 0x16;

pub(super) fn cases() -> Vec<Case> {
    [opening(), sizes(), blocks()]
        .into_iter()
        .flatten()
        .collect()
}

fn opening() -> Vec<Case> {
    let good = [peer::PREFACE, &settings(&[(INITIAL_WINDOW_SIZE, 65_535)])].concat();
    let bad = b"INVALID CONNECTION PREFACE\r\n\r\n".to_vec();
    let mut reserved = ping(DATA_8);
    // The stream's first bit means nothing.
    reserved[5] |= 0x80;
    vec![
        unopened("http2/3.5/1", good, Sight::Settings),
        // RFC 9113 §3.4: whoever sends this doesn't read a GOAWAY either.
        unopened("http2/3.5/2", bad, Sight::End),
        case(
            "http2/4.1/1",
            &[frame(UNKNOWN, 0, 0, &[0; 8]), ping(DATA_8)],
            Sight::PingAck(DATA_8),
        ),
        case(
            "http2/4.1/2",
            &[frame(PING, 0x16, 0, &DATA_8)],
            Sight::PingAck(DATA_8),
        ),
        case("http2/4.1/3", &[reserved], Sight::PingAck(DATA_8)),
    ]
}

fn sizes() -> Vec<Case> {
    let long: Vec<u8> = (0..5).flat_map(|_| long_field()).collect();
    let too_long = [head("GET"), long].concat();
    vec![
        case(
            "http2/4.2/1",
            &[post(1), data(1, END_STREAM, &[b'x'; 16_384])],
            Sight::Headers(1),
        ),
        case(
            "http2/4.2/2",
            &[post(1), data(1, END_STREAM, &[b'x'; 16_385])],
            Sight::StreamError(&[FRAME_SIZE]),
        ),
        case(
            "http2/4.2/3",
            &[headers(1, END_HEADERS | END_STREAM, &too_long)],
            Sight::ConnectionError(&[FRAME_SIZE]),
        ),
    ]
}

fn blocks() -> Vec<Case> {
    let rest = continuation(1, END_HEADERS, &long_field());
    let begun = headers(1, 0, &head("GET"));
    vec![
        case(
            "http2/4.3/1",
            &[headers(1, END_HEADERS | END_STREAM, b"\x40")],
            Sight::ConnectionError(&[COMPRESSION]),
        ),
        case(
            "http2/4.3/2",
            &[begun.clone(), priority(1, 0, false, 255), rest.clone()],
            Sight::ConnectionError(&[PROTOCOL]),
        ),
        case(
            "http2/4.3/3",
            &[begun, get(3), rest],
            Sight::ConnectionError(&[PROTOCOL]),
        ),
    ]
}

#[tokio::test]
async fn gateway_10_h2spec_3_and_4_frames() {
    play("3 and 4", cases()).await;
}
