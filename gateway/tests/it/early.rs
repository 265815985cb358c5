use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::stage::{PATIENCE, Stage};

/// The types of HTTP/2's frames (RFC 9113 §6), as far as they are spoken of here.
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;

/// Whatever is asked for is not here.
const ELSEWHERE: &str = "
routes:
  - { id: other, match: { method: GET, path: /elsewhere }, to: origin, auth: none, why_public: a test }
";

fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).unwrap();
    let head = [0, 0, length, kind, flags, 0, 0, 0, stream];
    [&head[..], payload].concat()
}

/// `POST /` with a body of five bytes that is still to come, in HPACK without its compression.
fn head() -> Vec<u8> {
    let mut block = vec![0x83, 0x87, 0x84, 0x01, 1, b'a'];
    block.extend([0x0f, 0x0d, 1, b'5']);
    const END_HEADERS: u8 = 4;
    frame(HEADERS, END_HEADERS, 1, &block)
}

/// curl 7.88 takes a stream that is reset behind its answer for a failure and shows no answer.
#[tokio::test]
async fn an_answer_before_the_body_is_not_followed_by_a_reset() {
    let stage = Stage::open(ELSEWHERE).await;
    let mut stream = crate::tls::handshake(&stage, &[b"h2"]).await.unwrap();
    let mut opening = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    opening.extend(frame(SETTINGS, 0, 0, &[]));
    opening.extend(head());
    stream.write_all(&opening).await.unwrap();
    let seen = tokio::time::timeout(PATIENCE, async {
        let mut seen = Vec::new();
        loop {
            let mut head = [0; 9];
            stream.read_exact(&mut head).await.unwrap();
            let [_, high, low, kind, flags, .., on] = head;
            let mut payload = vec![0; usize::from(high) << 8 | usize::from(low)];
            stream.read_exact(&mut payload).await.unwrap();
            seen.push((kind, on));
            match kind {
                // The answer is whole. Only now comes the body, and a question that must be
                // answered after whatever the body led to.
                DATA if flags & 1 == 1 => {
                    let rest = [frame(DATA, 1, 1, b"12345"), frame(PING, 0, 0, &[0; 8])].concat();
                    stream.write_all(&rest).await.unwrap();
                }
                PING => return seen,
                _ => {}
            }
        }
    });
    let seen = seen.await.unwrap();
    assert!(seen.contains(&(DATA, 1)), "no answer: {seen:?}");
    assert!(!seen.contains(&(RESET, 1)), "reset: {seen:?}");
}
