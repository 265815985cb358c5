//! The framing of heads and of chunked bodies.

use gateway::framing::chunks::Chunks;
use gateway::framing::raw::Reader;

/// As the listeners have it when the table says nothing.
const MAX_HEAD: usize = 16 * 1024;

/// What passes is read alike by another reader, in one piece and in two, and means one request.
pub fn run(bytes: &[u8]) {
    let judged = Reader::default().read(bytes, MAX_HEAD);
    in_pieces(bytes, judged);
    let Ok(Some(whole)) = judged else {
        return;
    };
    let (head, body) = bytes.split_at(whole.length);
    assert!(head.ends_with(b"\r\n\r\n") && head.len() <= MAX_HEAD);
    assert!(
        !head[..head.len() - 2].ends_with(b"\r\n\r\n"),
        "it ended before"
    );
    same_to_others(head, whole.chunked);
    if whole.chunked {
        chunks(body);
    }
}

fn in_pieces(
    bytes: &[u8],
    judged: Result<Option<gateway::framing::raw::Whole>, gateway::framing::Fault>,
) {
    let mut reader = Reader::default();
    for until in [bytes.len() / 3, bytes.len() / 2] {
        match reader.read(&bytes[..until], MAX_HEAD) {
            Ok(None) => {}
            // For what, may depend on how much was there.
            Err(_) => return assert!(judged.is_err(), "the first {until} bytes are refused"),
            early => return assert_eq!(early, judged, "the first {until} bytes"),
        }
    }
    let at_last = reader.read(bytes, MAX_HEAD);
    assert!(
        at_last == judged || at_last.is_err() && judged.is_err(),
        "{at_last:?}, {judged:?}"
    );
}

fn same_to_others(head: &[u8], chunked: bool) {
    let mut fields = [httparse::EMPTY_HEADER; 256];
    let mut request = httparse::Request::new(&mut fields);
    let read = request.parse(head).expect("another reader understands it");
    assert_eq!(read, httparse::Status::Complete(head.len()));
    let named = |name: &str| {
        let all = request.headers.iter();
        all.filter(|field| field.name.eq_ignore_ascii_case(name))
            .count()
    };
    // An empty line may stand before.
    let lines = head.strip_prefix(b"\r\n").unwrap_or(head);
    let lines = lines.split(|byte| *byte == b'\n').count();
    assert_eq!(request.headers.len() + 3, lines, "a line that is no field");
    assert_eq!(named("host"), 1);
    assert!(named("content-length") + named("transfer-encoding") <= 1);
    assert_eq!(named("transfer-encoding") == 1, chunked);
    assert!(request.version == Some(1) || !chunked);
    let target = request.path.expect("a target");
    assert!(
        target.bytes().all(|byte| byte.is_ascii_graphic()),
        "{target}"
    );
    for field in request.headers.iter() {
        assert!(
            !field
                .value
                .iter()
                .any(|byte| b"\0\r\n\x0b\x7f".contains(byte))
        );
    }
}

/// A body that passes is cut by another reader where we cut it.
fn chunks(body: &[u8]) {
    let mut ours = Chunks::default();
    let at_once = ours.read(body);
    let (first, second) = body.split_at(body.len() / 2);
    let mut halves = Chunks::default();
    let in_two = halves.read(first).and_then(|()| halves.read(second));
    assert_eq!(at_once, in_two);
    if at_once.is_err() {
        return;
    }
    let mut rest = body;
    loop {
        match httparse::parse_chunk_size(rest) {
            Ok(httparse::Status::Complete((_, 0))) | Ok(httparse::Status::Partial) => return,
            Ok(httparse::Status::Complete((at, size))) => {
                let Some(behind) = rest[at..].get(size as usize..) else {
                    return;
                };
                assert!(
                    b"\r\n".starts_with(&behind[..behind.len().min(2)]),
                    "cut elsewhere"
                );
                rest = behind.get(2..).unwrap_or_default();
            }
            Err(_) => panic!(
                "another reader refuses {:?}",
                rest.escape_ascii().to_string()
            ),
        }
    }
}
