//! RFC 7541: the thirteen forms of a field, and what is none.

use super::*;

/// `user-agent`, `x-test` and `h2spec` in HPACK's Huffman code, with their lengths.
const USER_AGENT: &[u8] = b"\x87\xb5\x05\xb1\x61\xcc\x5a\x93";
const X_TEST: &[u8] = b"\x85\xf2\xb2\x4a\x84\xff";
const VALUE: &[u8] = b"\x84\x9c\x48\xac\xa4";

/// A request with one more field, written as it says.
fn with(number: &'static str, representation: &[u8], seen: Sight) -> Case {
    let block = [&head("GET"), representation].concat();
    case(
        number,
        &[headers(1, END_HEADERS | END_STREAM, &block)],
        seen,
    )
}

/// A request behind a change of the table's size.
fn behind(number: &'static str, update: &[u8], seen: Sight) -> Case {
    let block = [update, &head("GET")].concat();
    case(
        number,
        &[headers(1, END_HEADERS | END_STREAM, &block)],
        seen,
    )
}

pub(super) fn cases() -> Vec<Case> {
    let answered = Sight::Headers(1);
    let broken = Sight::ConnectionError(&[COMPRESSION]);
    let plain_value = b"\x06h2spec";
    let plain_name = b"\x06x-test";
    // `user-agent` is the 58th of the static table: 4 bits hold 15, and 43 more follow.
    let (indexing, without, never) = (&b"\x7a"[..], &b"\x0f\x2b"[..], &b"\x1f\x2b"[..]);
    vec![
        with("generic/5/1", b"\xba", answered),
        with("generic/5/2", &[indexing, plain_value].concat(), answered),
        with(
            "generic/5/3",
            &[&b"\x40"[..], USER_AGENT, VALUE].concat(),
            answered,
        ),
        with(
            "generic/5/4",
            &[&b"\x40"[..], plain_name, plain_value].concat(),
            answered,
        ),
        with(
            "generic/5/5",
            &[&b"\x40"[..], X_TEST, VALUE].concat(),
            answered,
        ),
        with("generic/5/6", &[without, plain_value].concat(), answered),
        with(
            "generic/5/7",
            &[&b"\x00"[..], USER_AGENT, VALUE].concat(),
            answered,
        ),
        with(
            "generic/5/8",
            &[&b"\x00"[..], plain_name, plain_value].concat(),
            answered,
        ),
        with(
            "generic/5/9",
            &[&b"\x00"[..], X_TEST, VALUE].concat(),
            answered,
        ),
        with("generic/5/10", &[never, plain_value].concat(), answered),
        with(
            "generic/5/11",
            &[&b"\x10"[..], USER_AGENT, VALUE].concat(),
            answered,
        ),
        with(
            "generic/5/12",
            &[&b"\x10"[..], plain_name, plain_value].concat(),
            answered,
        ),
        with(
            "generic/5/13",
            &[&b"\x10"[..], X_TEST, VALUE].concat(),
            answered,
        ),
        // To 128, and from there to 4,096.
        behind("generic/5/14", b"\x3f\x61", answered),
        behind("generic/5/15", b"\x3f\x61\x3f\xe1\x1f", answered),
        // Beyond both tables.
        with("hpack/2.3.3/1", b"\xc6", broken),
        with("hpack/2.3.3/2", b"\x7f\x07\x00", broken),
        // A change of the table's size at the end.
        with("hpack/4.2/1", b"\x21", broken),
        // Padded by more than seven bits, by zeros, and with the end of string in it.
        with(
            "hpack/5.2/1",
            &[&b"\x00"[..], X_TEST, b"\x84\x49\x50\x9f\xff"].concat(),
            broken,
        ),
        with(
            "hpack/5.2/2",
            &[&b"\x00"[..], X_TEST, b"\x83\x49\x50\x90"].concat(),
            broken,
        ),
        with(
            "hpack/5.2/3",
            &[&b"\x00"[..], X_TEST, b"\x87\x49\x51\xff\xff\xff\xfa\x7f"].concat(),
            broken,
        ),
        with("hpack/6.1/1", b"\x80", broken),
        // To 4,097: one more than was offered.
        behind("hpack/6.3/1", b"\x3f\xe2\x1f", broken),
    ]
}

#[tokio::test]
async fn gateway_10_h2spec_hpack() {
    play("hpack", cases()).await;
}
