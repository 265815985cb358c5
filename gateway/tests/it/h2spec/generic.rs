//! What every server takes (h2spec's `generic`, less HPACK).

use super::peer::PREFACE;
use super::*;

const DATA_8: [u8; 8] = *b"whatever";
const NO_WINDOW: &[(u16, u32)] = &[(INITIAL_WINDOW_SIZE, 0)];

pub(super) fn cases() -> Vec<Case> {
    [
        connection(),
        bodies_and_heads(),
        priorities_and_rest(),
        messages(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn connection() -> Vec<Case> {
    let opening = [PREFACE, &settings(&[(INITIAL_WINDOW_SIZE, 65_535)])].concat();
    vec![
        unopened("generic/1/1", opening, Sight::Settings),
        case(
            "generic/2/1",
            &[priority(1, 0, false, 255), ping(DATA_8)],
            Sight::PingAck(DATA_8),
        ),
        case(
            "generic/2/2",
            &[settings(NO_WINDOW), get(1), window(1, 1)],
            Sight::Data(1, Some(1)),
        ),
        case(
            "generic/2/3",
            &[
                settings(NO_WINDOW),
                get(1),
                priority(1, 0, false, 255),
                window(1, 1),
            ],
            Sight::Data(1, Some(1)),
        ),
        case(
            "generic/2/4",
            &[get(1), reset(1, CANCEL), ping(DATA_8)],
            Sight::PingAck(DATA_8),
        ),
        story(
            "generic/2/5",
            vec![
                send(get(1)),
                see(Sight::EndOfStream(1)),
                send(priority(1, 0, false, 255)),
                send(ping(DATA_8)),
                see(Sight::PingAck(DATA_8)),
            ],
        ),
    ]
}

fn bodies_and_heads() -> Vec<Case> {
    let padded = [&[5][..], b"test", &[0; 5]].concat();
    let padded_head = [&[8][..], &head("GET"), &[0; 8]].concat();
    let with_priority = [dependency(0, false, 255), head("GET")].concat();
    let whole = END_HEADERS | END_STREAM;
    let block = head("GET");
    vec![
        case(
            "generic/3.1/1",
            &[post(1), data(1, END_STREAM, b"test")],
            Sight::Headers(1),
        ),
        case(
            "generic/3.1/2",
            &[post(1), data(1, 0, b"test"), data(1, END_STREAM, b"test")],
            Sight::Headers(1),
        ),
        case(
            "generic/3.1/3",
            &[post(1), data(1, END_STREAM | PADDED, &padded)],
            Sight::Headers(1),
        ),
        case("generic/3.2/1", &[get(1)], Sight::Headers(1)),
        case(
            "generic/3.2/2",
            &[headers(1, whole | PADDED, &padded_head)],
            Sight::Headers(1),
        ),
        case(
            "generic/3.2/3",
            &[headers(1, whole | PRIORITY_FLAG, &with_priority)],
            Sight::Headers(1),
        ),
        case(
            "generic/3.10/1",
            &[
                headers(1, END_STREAM, &block[..5]),
                continuation(1, END_HEADERS, &block[5..]),
            ],
            Sight::Headers(1),
        ),
        case(
            "generic/3.10/2",
            &[
                headers(1, END_STREAM, &block[..5]),
                continuation(1, 0, &block[5..10]),
                continuation(1, END_HEADERS, &block[10..]),
            ],
            Sight::Headers(1),
        ),
    ]
}

fn priorities_and_rest() -> Vec<Case> {
    let all = settings(&[
        (1, 4_096),
        (ENABLE_PUSH, 1),
        (MAX_CONCURRENT_STREAMS, 100),
        (INITIAL_WINDOW_SIZE, 65_535),
        (MAX_FRAME_SIZE, 16_384),
        (6, 100),
    ]);
    vec![
        case(
            "generic/3.3/1",
            &[priority(1, 0, false, 0), get(1)],
            Sight::Headers(1),
        ),
        case(
            "generic/3.3/2",
            &[priority(1, 0, false, 255), get(1)],
            Sight::Headers(1),
        ),
        case(
            "generic/3.3/3",
            &[priority(3, 1, false, 0), get(1)],
            Sight::Headers(1),
        ),
        case(
            "generic/3.3/4",
            &[priority(1, 0, true, 0), get(1)],
            Sight::Headers(1),
        ),
        case(
            "generic/3.3/5",
            &[priority(3, 0, false, 255), get(1)],
            Sight::Headers(1),
        ),
        case(
            "generic/3.4/1",
            &[post(1), reset(1, CANCEL), ping(DATA_8)],
            Sight::PingAck(DATA_8),
        ),
        case("generic/3.5/1", &[all], Sight::SettingsAck),
        case("generic/3.7/1", &[ping(DATA_8)], Sight::PingAck(DATA_8)),
        case(
            "generic/3.8/1",
            &[goaway(0), ping(DATA_8)],
            Sight::PingAckOrEnd(DATA_8),
        ),
        case(
            "generic/3.9/1",
            &[window(0, 1), ping(DATA_8)],
            Sight::PingAck(DATA_8),
        ),
        case("generic/3.9/2", &[get(1), window(1, 1)], Sight::Headers(1)),
    ]
}

fn messages() -> Vec<Case> {
    let announced = [head("POST"), field("trailer", "x-test")].concat();
    vec![
        case("generic/4/1", &[get(1)], Sight::EndOfStream(1)),
        case(
            "generic/4/2",
            &[headers(1, END_HEADERS | END_STREAM, &head("HEAD"))],
            Sight::EndOfStream(1),
        ),
        case(
            "generic/4/3",
            &[post(1), data(1, END_STREAM, b"test")],
            Sight::EndOfStream(1),
        ),
        case(
            "generic/4/4",
            &[
                headers(1, END_HEADERS, &announced),
                data(1, 0, b"test"),
                headers(1, END_HEADERS | END_STREAM, &field("x-test", "ok")),
            ],
            Sight::EndOfStream(1),
        ),
    ]
}

#[tokio::test]
async fn gateway_10_h2spec_generic() {
    play("generic", cases()).await;
}
