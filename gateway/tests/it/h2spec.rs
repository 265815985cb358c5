//! HTTP/2 to the letter: the 147 strict cases of h2spec (github.com/summerwind/h2spec, af83a65),
//! restated with frames written by hand. A case has h2spec's number: suite, section, place in it.
//!
//! Stricter than there: where an error is due it must be told; a connection that only closes proves
//! nothing, but for one that doesn't speak HTTP/2 at all.
//!
//! `cargo test -p gateway --test it h2spec -- --nocapture` prints the tally.

mod errors;
mod frames;
mod generic;
mod hpack;
mod messages;
mod peer;
mod streams;

use crate::stage::{Answer, OPEN, Origin, Stage};
use peer::Peer;
pub(crate) use peer::{
    ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PADDED, PING, PRIORITY,
    PRIORITY_FLAG, PUSH_PROMISE, RST_STREAM, SETTINGS, WINDOW_UPDATE, frame,
};

/// One case: what is sent, and what has to be seen of the gateway, in turn.
pub(crate) struct Case {
    number: &'static str,
    steps: Vec<Step>,
    /// Whether the connection is opened as it should be, before all else.
    opened: bool,
}

/// A step of a case.
pub(crate) enum Step {
    Send(Vec<u8>),
    /// As many requests as may be open at once, and one more.
    Crowd,
    See(Sight),
}

/// What has to be seen; frames that are something else are passed over, less errors.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Sight {
    Settings,
    SettingsAck,
    PingAck([u8; 8]),
    /// Or the connection ends.
    PingAckOrEnd([u8; 8]),
    Headers(u32),
    /// `DATA` of that length; any, where there is none.
    Data(u32, Option<usize>),
    /// The answer's last frame.
    EndOfStream(u32),
    /// `GOAWAY` with one of these codes (or the general one), and then the end.
    ConnectionError(&'static [u32]),
    /// `RST_STREAM` or `GOAWAY` with one of these codes.
    StreamError(&'static [u32]),
    /// `RST_STREAM` with this code on this stream.
    Reset(u32, u32),
    End,
}

// RFC 9113 §7.
pub(crate) const PROTOCOL: u32 = 1;
pub(crate) const FLOW_CONTROL: u32 = 3;
pub(crate) const STREAM_CLOSED: u32 = 5;
pub(crate) const FRAME_SIZE: u32 = 6;
pub(crate) const REFUSED_STREAM: u32 = 7;
pub(crate) const CANCEL: u32 = 8;
pub(crate) const COMPRESSION: u32 = 9;

// RFC 9113 §6.5.2.
pub(crate) const ENABLE_PUSH: u16 = 2;
pub(crate) const MAX_CONCURRENT_STREAMS: u16 = 3;
pub(crate) const INITIAL_WINDOW_SIZE: u16 = 4;
pub(crate) const MAX_FRAME_SIZE: u16 = 5;

/// On a connection that was opened as it should be.
pub(crate) fn case(number: &'static str, sent: &[Vec<u8>], seen: Sight) -> Case {
    let mut steps: Vec<Step> = sent.iter().cloned().map(Step::Send).collect();
    steps.push(Step::See(seen));
    Case {
        number,
        steps,
        opened: true,
    }
}

/// The same, step by step.
pub(crate) fn story(number: &'static str, steps: Vec<Step>) -> Case {
    Case {
        number,
        steps,
        opened: true,
    }
}

/// From the connection's first byte on.
pub(crate) fn unopened(number: &'static str, sent: Vec<u8>, seen: Sight) -> Case {
    Case {
        number,
        steps: vec![Step::Send(sent), Step::See(seen)],
        opened: false,
    }
}

pub(crate) fn send(bytes: Vec<u8>) -> Step {
    Step::Send(bytes)
}

pub(crate) fn see(sight: Sight) -> Step {
    Step::See(sight)
}

// What is sent most.

/// A field, as a literal that is not indexed.
pub(crate) fn field(name: &str, value: &str) -> Vec<u8> {
    let mut block = vec![0];
    for text in [name, value] {
        match u8::try_from(text.len()) {
            Ok(length @ ..127) => block.push(length),
            _ => {
                let mut rest = text.len() - 127;
                block.push(127);
                while rest >= 128 {
                    block.push(u8::try_from(rest % 128).unwrap() | 0x80);
                    rest /= 128;
                }
                block.push(u8::try_from(rest).unwrap());
            }
        }
        block.extend_from_slice(text.as_bytes());
    }
    block
}

/// The fields of a request for `/`.
pub(crate) fn head(method: &str) -> Vec<u8> {
    fields(&[
        (":method", method),
        (":scheme", "https"),
        (":path", "/"),
        (":authority", "localhost"),
    ])
}

pub(crate) fn fields(fields: &[(&str, &str)]) -> Vec<u8> {
    let fields = fields.iter().map(|(name, value)| field(name, value));
    fields.collect::<Vec<_>>().concat()
}

/// A field that fills much of a frame.
pub(crate) fn long_field() -> Vec<u8> {
    field("x-long", &"x".repeat(4_000))
}

pub(crate) fn headers(stream: u32, flags: u8, block: &[u8]) -> Vec<u8> {
    frame(HEADERS, flags, stream, block)
}

/// A whole request.
pub(crate) fn get(stream: u32) -> Vec<u8> {
    headers(stream, END_HEADERS | END_STREAM, &head("GET"))
}

/// A request whose body is to come.
pub(crate) fn post(stream: u32) -> Vec<u8> {
    headers(stream, END_HEADERS, &head("POST"))
}

pub(crate) fn data(stream: u32, flags: u8, bytes: &[u8]) -> Vec<u8> {
    frame(DATA, flags, stream, bytes)
}

pub(crate) fn continuation(stream: u32, flags: u8, block: &[u8]) -> Vec<u8> {
    frame(CONTINUATION, flags, stream, block)
}

pub(crate) fn priority(stream: u32, on: u32, exclusive: bool, weight: u8) -> Vec<u8> {
    frame(PRIORITY, 0, stream, &dependency(on, exclusive, weight))
}

pub(crate) fn dependency(on: u32, exclusive: bool, weight: u8) -> Vec<u8> {
    let on = on | u32::from(exclusive) << 31;
    [&on.to_be_bytes()[..], &[weight]].concat()
}

pub(crate) fn reset(stream: u32, code: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, &code.to_be_bytes())
}

pub(crate) fn settings(all: &[(u16, u32)]) -> Vec<u8> {
    let all = all.iter();
    let payload =
        all.flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat());
    frame(SETTINGS, 0, 0, &payload.collect::<Vec<_>>())
}

pub(crate) fn ping(data: [u8; 8]) -> Vec<u8> {
    frame(PING, 0, 0, &data)
}

pub(crate) fn goaway(code: u32) -> Vec<u8> {
    frame(GOAWAY, 0, 0, &[&[0; 4][..], &code.to_be_bytes()].concat())
}

pub(crate) fn window(stream: u32, more: u32) -> Vec<u8> {
    frame(WINDOW_UPDATE, 0, stream, &more.to_be_bytes())
}

/// Plays all cases of a room, each on a connection of its own, and tells of every one that failed.
#[expect(clippy::print_stdout, reason = "the tally is for people")]
async fn play(room: &str, cases: Vec<Case>) {
    let origin = Origin::start(|_| Answer::ok("restated")).await;
    let stage = Stage::before(origin, "", OPEN).await;
    let (all, mut general, mut failed) = (cases.len(), 0, Vec::new());
    for case in cases {
        let mut peer = Peer::connect(&stage).await;
        if let Err(fault) = peer.play(&case).await {
            failed.push(format!("{}: {fault}", case.number));
        }
        general += usize::from(peer.general);
    }
    let hold = all - failed.len();
    println!(
        "h2spec, {room}: {hold} of {all} hold, {general} with PROTOCOL_ERROR for a finer code"
    );
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    // Whatever was done to it: others are served.
    let client = stage.client(true);
    assert_eq!(
        client.get(stage.url("/")).send().await.unwrap().status(),
        200
    );
}

#[test]
fn all_of_them_are_here() {
    let rooms = [
        generic::cases(),
        frames::cases(),
        streams::cases(),
        errors::cases(),
        messages::cases(),
        hpack::cases(),
    ];
    let numbers: Vec<&str> = rooms.iter().flatten().map(|case| case.number).collect();
    let distinct: std::collections::BTreeSet<_> = numbers.iter().collect();
    assert_eq!((numbers.len(), distinct.len()), (147, 147));
}
