//! The corpus: 47 kinds of payload that one server could read as one request and another as two,
//! or with another head (security cases 1 to 4, 8, 9 and 13). Behind each of them stands a request
//! that nobody may take for one of the gateway's.
//!
//! `cargo test -p gateway --test it corpus -- --nocapture` prints what became of each.

use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::watch;

use super::HIDDEN;
use crate::stage::{OPEN, Origin, PATIENCE, Stage};

/// What an origin was sent, to the byte: nothing between it and the test makes sense of it.
#[derive(Clone)]
pub(super) struct Seen(Arc<watch::Sender<State>>);

#[derive(Default)]
struct State {
    bytes: Vec<u8>,
    connections: usize,
    ended: usize,
}

impl Default for Seen {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(State::default())))
    }
}

impl Seen {
    /// An origin that keeps all bytes and answers whatever looks like a request.
    pub(super) async fn origin(&self) -> Origin {
        let seen = self.0.clone();
        Origin::raw(move |mut stream| {
            let seen = seen.clone();
            Box::pin(async move {
                seen.send_modify(|state| state.connections += 1);
                let mut own = Vec::new();
                let mut bytes = [0; 4096];
                while let Ok(size @ 1..) = stream.read(&mut bytes).await {
                    own.extend_from_slice(&bytes[..size]);
                    seen.send_modify(|state| state.bytes.extend_from_slice(&bytes[..size]));
                    if looks_whole(&own) {
                        own.clear();
                        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
                        let _ = stream.write_all(answer).await;
                    }
                }
                seen.send_modify(|state| state.ended += 1);
            })
        })
        .await
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.borrow().bytes).into_owned()
    }

    /// Waits until some text has come.
    pub(super) async fn holds(&self, text: &str) {
        let find = |state: &State| String::from_utf8_lossy(&state.bytes).contains(text);
        let mut seen = self.0.subscribe();
        let found = tokio::time::timeout(PATIENCE, seen.wait_for(find)).await;
        assert!(found.is_ok(), "the origin has {:?}", self.text());
    }

    /// Waits until every connection has ended.
    pub(super) async fn ended(&self) {
        let mut seen = self.0.subscribe();
        let over = |state: &State| state.ended == state.connections;
        let waited = tokio::time::timeout(PATIENCE, seen.wait_for(over)).await;
        assert!(
            waited.is_ok(),
            "the gateway keeps a connection that is out of step"
        );
    }
}

fn looks_whole(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes).to_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    if head.contains("transfer-encoding: chunked") {
        return body.ends_with("0\r\n\r\n");
    }
    let length = head.split("content-length: ").nth(1);
    let length: usize = length.map_or(0, |rest| rest.lines().next().unwrap().parse().unwrap());
    body.len() >= length
}

/// What the gateway must do.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Must {
    /// Answer with this status, close, and ask nobody.
    Refuse(u16),
    /// Send on what has one meaning: one request, without what made it two.
    Normalise,
}
use Must::{Normalise, Refuse};

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n";
const POST: &str = "POST / HTTP/1.1\r\nHost: a\r\n";
const CHUNKED: &str = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";

fn kinds() -> Vec<(&'static str, Must, String)> {
    let mut all = Vec::new();
    let mut kind = |name, must, text: String| all.push((name, must, text));
    let get = |rest: &str| format!("{GET}{rest}\r\n\r\n");
    let post = |rest: &str, body: &str| format!("{POST}{rest}\r\n\r\n{body}");
    let chunked = |body: &str| format!("{CHUNKED}{body}");
    // Two lengths.
    kind(
        "CL.TE",
        Refuse(400),
        post(
            "Content-Length: 6\r\nTransfer-Encoding: chunked",
            "0\r\n\r\nG",
        ),
    );
    kind(
        "TE.CL",
        Refuse(400),
        post(
            "Transfer-Encoding: chunked\r\nContent-Length: 3",
            "0\r\n\r\n",
        ),
    );
    kind(
        "two lengths",
        Refuse(400),
        post("Content-Length: 3\r\nContent-Length: 4", "abc"),
    );
    kind(
        "the same length twice",
        Refuse(400),
        post("Content-Length: 3\r\nContent-Length: 3", "abc"),
    );
    kind(
        "a list of lengths",
        Refuse(400),
        post("Content-Length: 3, 3", "abc"),
    );
    // Lengths that are none.
    kind(
        "length with a plus",
        Refuse(400),
        post("Content-Length: +3", "abc"),
    );
    kind(
        "length below nothing",
        Refuse(400),
        post("Content-Length: -1", ""),
    );
    kind(
        "length in hex",
        Refuse(400),
        post("Content-Length: 0x3", "abc"),
    );
    kind(
        "length over 2^64",
        Refuse(400),
        post("Content-Length: 18446744073709551619", "abc"),
    );
    kind("no length", Refuse(400), post("Content-Length:", ""));
    // Codings.
    kind(
        "xchunked",
        Refuse(400),
        post("Transfer-Encoding: xchunked", "0\r\n\r\n"),
    );
    kind(
        "gzip, chunked",
        Refuse(400),
        post("Transfer-Encoding: gzip, chunked", "0\r\n\r\n"),
    );
    kind(
        "chunked, identity",
        Refuse(400),
        post("Transfer-Encoding: chunked, identity", "0\r\n\r\n"),
    );
    kind(
        "two codings",
        Refuse(400),
        post(
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: x",
            "0\r\n\r\n",
        ),
    );
    kind(
        "coding in quotes",
        Refuse(400),
        post("Transfer-Encoding: \"chunked\"", "0\r\n\r\n"),
    );
    kind(
        "coding behind a tab of its own",
        Refuse(400),
        post("Transfer-Encoding: \x0bchunked", "0\r\n\r\n"),
    );
    kind(
        "coding on the next line",
        Refuse(400),
        post("Transfer-Encoding:\r\n chunked", "0\r\n\r\n"),
    );
    kind(
        "space before the colon",
        Refuse(400),
        post("Transfer-Encoding : chunked", "0\r\n\r\n"),
    );
    kind(
        "chunks in HTTP/1.0",
        Refuse(400),
        "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".to_owned(),
    );
    // Chunks.
    kind("size 0_2e", Refuse(400), chunked("0_2e\r\n"));
    kind(
        "size 0x5",
        Refuse(400),
        chunked("0x5\r\nhello\r\n0\r\n\r\n"),
    );
    kind(
        "size over 2^64",
        Refuse(400),
        chunked("10000000000000005\r\nhello\r\n0\r\n\r\n"),
    );
    kind("size below nothing", Refuse(400), chunked("-1\r\n"));
    kind(
        "chunks that end in LF",
        Refuse(400),
        chunked("5\nhello\n0\n\n"),
    );
    kind(
        "LF in an extension",
        Refuse(400),
        chunked("5;a\nb\r\nhello\r\n0\r\n\r\n"),
    );
    kind(
        "no line end behind a chunk",
        Refuse(400),
        chunked("5\r\nhello0\r\n\r\n"),
    );
    kind(
        "trailers that are heads",
        Normalise,
        chunked("0\r\nX-User-Id: admin\r\nContent-Length: 40\r\n\r\n"),
    );
    // Bytes.
    kind(
        "lines that end in LF",
        Refuse(400),
        "GET / HTTP/1.1\nHost: a\n\n".to_owned(),
    );
    kind("NUL in a value", Refuse(400), get("X: a\0b"));
    kind(
        "CR in a value",
        Refuse(400),
        get("X: a\rTransfer-Encoding: chunked"),
    );
    kind("a control byte in a value", Refuse(400), get("X: a\x01b"));
    kind(
        "a control byte in the target",
        Refuse(400),
        "GET /a\x01b HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
    );
    kind("a name with brackets", Refuse(400), get("X[1]: a"));
    kind("a value on two lines", Refuse(400), get("X: a\r\n\tb"));
    kind(
        "a space in the target",
        Refuse(400),
        "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
    );
    kind(
        "a head without an end",
        Refuse(431),
        get(&format!("X: {}", "x".repeat(100_000))),
    );
    // Hosts.
    kind("two hosts", Refuse(400), get("Host: b"));
    kind("no host", Refuse(400), "GET / HTTP/1.1\r\n\r\n".to_owned());
    kind(
        "a host with a space",
        Refuse(400),
        "GET / HTTP/1.1\r\nHost: a b\r\n\r\n".to_owned(),
    );
    kind(
        "a target of another host",
        Refuse(400),
        "GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
    );
    // Requests that are something else.
    kind(
        "an upgrade, and on",
        Refuse(400),
        get("Connection: upgrade\r\nUpgrade: foo"),
    );
    kind(
        "CONNECT",
        Refuse(405),
        "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n".to_owned(),
    );
    kind(
        "TRACE",
        Refuse(405),
        "TRACE / HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
    );
    kind(
        "a method with quotes",
        Refuse(400),
        "G=\":/ / HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
    );
    kind("HTTP/0.9", Refuse(400), "GET /\r\n".to_owned());
    kind(
        "HTTP/1.2",
        Refuse(505),
        "GET / HTTP/1.2\r\nHost: a\r\n\r\n".to_owned(),
    );
    kind("an empty line before", Normalise, format!("\r\n{GET}\r\n"));
    all
}

#[tokio::test]
#[expect(clippy::print_stdout, reason = "the tally is for people")]
async fn gateway_01_02_03_04_08_09_13_framing_corpus() {
    let (mut refused, mut normalised, mut wrong) = (0, 0, Vec::new());
    let kinds = kinds();
    assert_eq!(kinds.len(), 47);
    for (name, must, payload) in kinds {
        let seen = Seen::default();
        let stage = Stage::before(seen.origin().await, "", OPEN).await;
        // Ends only when the connection does.
        let answer = stage.raw(format!("{payload}{HIDDEN}")).await;
        let status = answer.split(' ').nth(1).and_then(|text| text.parse().ok());
        let at_origin = seen.text();
        let became = match status {
            Some(status @ 400..) => Refuse(status),
            _ => Normalise,
        };
        println!("{name:32} {became:?}");
        let fault = if became != must {
            Some(format!("not {must:?}: {answer:?}"))
        } else if answer.matches("HTTP/1.1 ").count() != answer.matches("HTTP/1.1 are").count() + 1
        {
            Some(format!("more than one answer: {answer:?}"))
        } else if became == Normalise {
            normalised += 1;
            danger(&at_origin)
        } else {
            refused += 1;
            (!at_origin.is_empty()).then(|| format!("refused, and at the origin: {at_origin:?}"))
        };
        wrong.extend(fault.map(|fault| format!("{name}: {fault}")));
    }
    println!(
        "47 kinds: {refused} refused, {normalised} normalised, {} wrong",
        wrong.len()
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(refused >= 37);
}

/// What of the bytes at the origin could be read in two ways.
fn danger(text: &str) -> Option<String> {
    let lower = text.to_lowercase();
    let count = |what: &str| lower.matches(what).count();
    let one_request =
        count(" http/1.1\r\n") == 1 && lower.starts_with("get / ") | lower.starts_with("post / ");
    let framed_once = count("\r\ncontent-length:") + count("\r\ntransfer-encoding:") <= 1;
    let clean = !["hidden", "admin", "x-user-id"]
        .iter()
        .any(|word| lower.contains(word));
    let even = count("\n") == count("\r\n") && count("\r") == count("\r\n");
    (!(one_request && framed_once && clean && even && count("\r\nhost:") == 1))
        .then(|| format!("at the origin: {text:?}"))
}
