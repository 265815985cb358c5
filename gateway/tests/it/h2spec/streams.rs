//! RFC 9113 §5: streams and their states.

use super::*;

const DATA_8: [u8; 8] = *b"whatever";
const UNKNOWN: u8 = 0x16;

pub(super) fn cases() -> Vec<Case> {
    [states(), closed(), rest()].into_iter().flatten().collect()
}

fn states() -> Vec<Case> {
    let broken = Sight::ConnectionError(&[PROTOCOL]);
    let shut = Sight::StreamError(&[STREAM_CLOSED]);
    let body = data(1, END_STREAM, b"test");
    let more = continuation(1, END_HEADERS, &head("GET"));
    vec![
        // Idle.
        case(
            "http2/5.1/1",
            std::slice::from_ref(&body),
            Sight::StreamError(&[PROTOCOL, STREAM_CLOSED]),
        ),
        case("http2/5.1/2", &[reset(1, CANCEL)], broken),
        case("http2/5.1/3", &[window(1, 100)], broken),
        case("http2/5.1/4", std::slice::from_ref(&more), broken),
        // Half closed: the client has said that it says no more.
        case("http2/5.1/5", &[get(1), body], shut),
        case("http2/5.1/6", &[get(1), get(1)], shut),
        case(
            "http2/5.1/7",
            &[get(1), more],
            Sight::StreamError(&[STREAM_CLOSED, PROTOCOL]),
        ),
    ]
}

fn closed() -> Vec<Case> {
    let shut = Sight::StreamError(&[STREAM_CLOSED]);
    let body = || data(1, END_STREAM, b"test");
    let more = || continuation(1, END_HEADERS, &long_field());
    let answered = |number, sent, seen| {
        let steps = vec![
            send(get(1)),
            see(Sight::EndOfStream(1)),
            send(sent),
            see(seen),
        ];
        story(number, steps)
    };
    let begun = || headers(1, END_HEADERS, &head("GET"));
    vec![
        // By the client's own reset.
        case("http2/5.1/8", &[begun(), reset(1, CANCEL), body()], shut),
        case("http2/5.1/9", &[begun(), reset(1, CANCEL), get(1)], shut),
        case(
            "http2/5.1/10",
            &[begun(), reset(1, CANCEL), more()],
            Sight::StreamError(&[STREAM_CLOSED, PROTOCOL]),
        ),
        // By an answer that is whole.
        answered("http2/5.1/11", body(), shut),
        answered(
            "http2/5.1/12",
            get(1),
            Sight::ConnectionError(&[STREAM_CLOSED]),
        ),
        answered(
            "http2/5.1/13",
            more(),
            Sight::ConnectionError(&[STREAM_CLOSED, PROTOCOL]),
        ),
    ]
}

fn rest() -> Vec<Case> {
    let broken = Sight::ConnectionError(&[PROTOCOL]);
    let on_itself = [dependency(1, false, 255), head("GET")].concat();
    let whole = END_HEADERS | END_STREAM;
    let bad_ping = frame(PING, 0, 3, &DATA_8);
    vec![
        case("http2/5.1.1/1", &[get(2)], broken),
        case("http2/5.1.1/2", &[get(5), get(3)], broken),
        story(
            "http2/5.1.2/1",
            vec![
                send(settings(&[(INITIAL_WINDOW_SIZE, 0)])),
                Step::Crowd,
                see(Sight::StreamError(&[PROTOCOL, REFUSED_STREAM])),
            ],
        ),
        case(
            "http2/5.3.1/1",
            &[headers(1, whole | PRIORITY_FLAG, &on_itself)],
            Sight::StreamError(&[PROTOCOL]),
        ),
        case(
            "http2/5.3.1/2",
            &[priority(1, 1, false, 255)],
            Sight::StreamError(&[PROTOCOL]),
        ),
        case("http2/5.4.1/1", std::slice::from_ref(&bad_ping), Sight::End),
        case("http2/5.4.1/2", &[bad_ping], broken),
        case(
            "http2/5.5/1",
            &[frame(UNKNOWN, 0, 0, &[0; 8]), ping(DATA_8)],
            Sight::PingAck(DATA_8),
        ),
        case(
            "http2/5.5/2",
            &[
                headers(1, END_STREAM, &head("GET")),
                frame(UNKNOWN, 0, 0, &[0; 8]),
            ],
            broken,
        ),
    ]
}

#[tokio::test]
async fn gateway_10_h2spec_5_streams() {
    play("5", cases()).await;
}
