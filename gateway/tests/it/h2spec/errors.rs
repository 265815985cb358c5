//! RFC 9113 §6 and §7: each frame, and what is wrong with one.

use super::*;

const DATA_8: [u8; 8] = *b"whatever";
const BROKEN: Sight = Sight::ConnectionError(&[PROTOCOL]);
const WRONG_SIZE: Sight = Sight::ConnectionError(&[FRAME_SIZE]);

pub(super) fn cases() -> Vec<Case> {
    [
        bodies(),
        heads(),
        signals(),
        settings_frames(),
        windows(),
        continuations(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn bodies() -> Vec<Case> {
    let announced = [head("POST"), field("content-length", "4")].concat();
    vec![
        case("http2/6.1/1", &[data(0, END_STREAM, b"test")], BROKEN),
        case(
            "http2/6.1/2",
            &[get(1), data(1, END_STREAM, b"test")],
            Sight::StreamError(&[STREAM_CLOSED]),
        ),
        // Six bytes of padding, and four are there.
        case(
            "http2/6.1/3",
            &[
                headers(1, END_HEADERS, &announced),
                data(1, PADDED | END_STREAM, b"\x06test"),
            ],
            BROKEN,
        ),
    ]
}

fn heads() -> Vec<Case> {
    let begun = headers(1, 0, &head("GET"));
    let rest = continuation(1, END_HEADERS, &long_field());
    let block = head("GET");
    let padding = u8::try_from(block.len()).unwrap() + 2;
    let padded = [&[padding][..], &block].concat();
    let whole = END_HEADERS | END_STREAM;
    vec![
        case(
            "http2/6.2/1",
            &[begun.clone(), priority(1, 0, false, 255), rest.clone()],
            BROKEN,
        ),
        case("http2/6.2/2", &[begun, get(3), rest], BROKEN),
        case("http2/6.2/3", &[get(0)], BROKEN),
        case(
            "http2/6.2/4",
            &[headers(1, whole | PADDED, &padded)],
            Sight::StreamError(&[PROTOCOL]),
        ),
        case("http2/6.3/1", &[priority(0, 0, false, 255)], BROKEN),
        case(
            "http2/6.3/2",
            &[get(1), frame(PRIORITY, 0, 1, &[0x80, 0, 0, 1])],
            Sight::StreamError(&[FRAME_SIZE]),
        ),
        case("http2/6.4/1", &[reset(0, CANCEL)], BROKEN),
        case("http2/6.4/2", &[reset(1, CANCEL)], BROKEN),
        case(
            "http2/6.4/3",
            &[get(1), frame(RST_STREAM, 0, 1, &[0; 3])],
            Sight::StreamError(&[FRAME_SIZE]),
        ),
    ]
}

fn signals() -> Vec<Case> {
    let answer_to_nothing = frame(PING, ACK, 0, b"unasked!");
    vec![
        case("http2/6.7/1", &[ping(DATA_8)], Sight::PingAck(DATA_8)),
        case(
            "http2/6.7/2",
            &[answer_to_nothing, ping(DATA_8)],
            Sight::PingAck(DATA_8),
        ),
        case("http2/6.7/3", &[frame(PING, 0, 1, &DATA_8)], BROKEN),
        case("http2/6.7/4", &[frame(PING, 0, 0, &[0; 6])], WRONG_SIZE),
        case("http2/6.8/1", &[frame(GOAWAY, 0, 1, &[0; 8])], BROKEN),
        case(
            "http2/7/1",
            &[goaway(0xff), ping(DATA_8)],
            Sight::PingAckOrEnd(DATA_8),
        ),
        case(
            "http2/7/2",
            &[post(1), reset(1, 0xff), ping(DATA_8)],
            Sight::PingAck(DATA_8),
        ),
    ]
}

fn settings_frames() -> Vec<Case> {
    vec![
        case("http2/6.5/1", &[frame(SETTINGS, ACK, 0, &[0])], WRONG_SIZE),
        case(
            "http2/6.5/2",
            &[frame(SETTINGS, 0, 1, &[0, 3, 0, 0, 0, 100])],
            BROKEN,
        ),
        case(
            "http2/6.5/3",
            &[frame(SETTINGS, 0, 0, &[0, 3, 0])],
            Sight::StreamError(&[PROTOCOL, FRAME_SIZE]),
        ),
        case("http2/6.5.2/1", &[settings(&[(ENABLE_PUSH, 2)])], BROKEN),
        case(
            "http2/6.5.2/2",
            &[settings(&[(INITIAL_WINDOW_SIZE, 1 << 31)])],
            Sight::ConnectionError(&[FLOW_CONTROL]),
        ),
        case(
            "http2/6.5.2/3",
            &[settings(&[(MAX_FRAME_SIZE, 16_383)])],
            BROKEN,
        ),
        case(
            "http2/6.5.2/4",
            &[settings(&[(MAX_FRAME_SIZE, 1 << 24)])],
            BROKEN,
        ),
        case(
            "http2/6.5.2/5",
            &[settings(&[(0xff, 1)]), ping(DATA_8)],
            Sight::PingAck(DATA_8),
        ),
        // The last one counts.
        story(
            "http2/6.5.3/1",
            vec![
                send(settings(&[
                    (INITIAL_WINDOW_SIZE, 100),
                    (INITIAL_WINDOW_SIZE, 1),
                ])),
                see(Sight::SettingsAck),
                send(get(1)),
                see(Sight::Data(1, Some(1))),
            ],
        ),
        case(
            "http2/6.5.3/2",
            &[settings(&[(ENABLE_PUSH, 0)])],
            Sight::SettingsAck,
        ),
    ]
}

fn windows() -> Vec<Case> {
    const MOST: u32 = i32::MAX as u32;
    let narrow = |size| settings(&[(INITIAL_WINDOW_SIZE, size)]);
    vec![
        case("http2/6.9/1", &[window(0, 0)], BROKEN),
        case(
            "http2/6.9/2",
            &[post(1), window(1, 0)],
            Sight::StreamError(&[PROTOCOL]),
        ),
        case(
            "http2/6.9/3",
            &[frame(WINDOW_UPDATE, 0, 0, &[0, 0, 1])],
            WRONG_SIZE,
        ),
        story(
            "http2/6.9.1/1",
            vec![
                send(narrow(1)),
                see(Sight::SettingsAck),
                send(get(1)),
                see(Sight::Data(1, Some(1))),
            ],
        ),
        case(
            "http2/6.9.1/2",
            &[window(0, MOST), window(0, MOST)],
            Sight::ConnectionError(&[FLOW_CONTROL]),
        ),
        case(
            "http2/6.9.1/3",
            &[post(1), window(1, MOST), window(1, MOST)],
            Sight::Reset(1, FLOW_CONTROL),
        ),
        story(
            "http2/6.9.2/1",
            vec![
                send(narrow(0)),
                see(Sight::SettingsAck),
                send(get(1)),
                send(narrow(1)),
                see(Sight::Data(1, Some(1))),
            ],
        ),
        // Three are spent of what is then two: the window is -1, and two more make one.
        story(
            "http2/6.9.2/2",
            vec![
                send(narrow(3)),
                see(Sight::SettingsAck),
                send(get(1)),
                see(Sight::Data(1, Some(3))),
                send(narrow(2)),
                see(Sight::SettingsAck),
                send(window(1, 2)),
                see(Sight::Data(1, Some(1))),
            ],
        ),
        case(
            "http2/6.9.2/3",
            &[narrow(1 << 31)],
            Sight::ConnectionError(&[FLOW_CONTROL]),
        ),
    ]
}

fn continuations() -> Vec<Case> {
    let begun = || headers(1, END_STREAM, &head("GET"));
    let more = |stream, flags| continuation(stream, flags, &long_field());
    let open = || headers(1, 0, &head("POST"));
    let body = || data(1, END_STREAM, b"test");
    vec![
        case(
            "http2/6.10/1",
            &[begun(), more(1, 0), more(1, END_HEADERS)],
            Sight::Headers(1),
        ),
        case("http2/6.10/2", &[open(), more(1, 0), body()], BROKEN),
        case("http2/6.10/3", &[begun(), more(0, END_HEADERS)], BROKEN),
        case("http2/6.10/4", &[get(1), more(1, END_HEADERS)], BROKEN),
        case(
            "http2/6.10/5",
            &[begun(), more(1, END_HEADERS), more(1, END_HEADERS)],
            BROKEN,
        ),
        case(
            "http2/6.10/6",
            &[open(), body(), more(1, END_HEADERS)],
            BROKEN,
        ),
    ]
}

#[tokio::test]
async fn gateway_10_h2spec_6_and_7_frames_one_by_one() {
    play("6 and 7", cases()).await;
}
