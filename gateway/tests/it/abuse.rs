//! Clients that use up what they can: each must leave memory and connections bounded, and the others
//! served (cases 11 and 12).

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::h2spec::{
    ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, INITIAL_WINDOW_SIZE, PING,
    RST_STREAM, SETTINGS, frame,
};
use crate::shake::{BOTH, Encrypted, client, connect};
use crate::stage::{Answer, OPEN, Origin, PATIENCE, Stage};

const SHORT: &str =
    "idle_timeout: 2s, header_timeout: 1s, stall_timeout: 1s, handshake_timeout: 1s";
const HASTY: &str = "
routes:
  - { id: all, match: { method: [GET, POST], path: /** }, to: origin, auth: none, why_public: a test, timeout: 2s }
";

/// A connection in HTTP/2 of which every byte is ours to say.
async fn enemy(stage: &Stage, settings: &[(u16, u32)]) -> Encrypted {
    let config = client(&stage.trusted, None, BOTH, &[b"h2"]);
    let mut stream = connect(&config, stage.https, "localhost").await.unwrap();
    let settings: Vec<u8> = settings
        .iter()
        .flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat())
        .collect();
    stream
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        .await
        .unwrap();
    stream
        .write_all(&frame(SETTINGS, 0, 0, &settings))
        .await
        .unwrap();
    stream.flush().await.unwrap();
    stream
}

/// A request's head: method, `https`, `/`, `localhost`, less its end.
fn head(method: u8) -> Vec<u8> {
    // The static table's (RFC 7541 appendix A): `:method` 2 is GET and 3 is POST, `:scheme` 7,
    // `:path` 4; and the name of `:authority` with a value.
    [&[0x80 | method, 0x87, 0x84, 0x01, 9][..], b"localhost"].concat()
}

const GET: u8 = 2;
const POST: u8 = 3;

/// Sends until the gateway has had enough, or `most` was sent. Tells whether it had.
async fn flood(
    stream: &mut Encrypted,
    most: usize,
    mut next: impl FnMut(usize) -> Vec<u8>,
) -> bool {
    let (mut read, mut write) = tokio::io::split(stream);
    let send = async {
        for index in 0..most {
            let sent = write.write_all(&next(index)).await;
            if sent.is_err() {
                return true;
            }
        }
        let _ = write.flush().await;
        false
    };
    let ended = async {
        // What it says is read, so that it is not the one who waits.
        let mut sink = vec![0; 65_536];
        while matches!(read.read(&mut sink).await, Ok(n) if n > 0) {}
        true
    };
    let mut ended = std::pin::pin!(ended);
    tokio::select! {
        enough = send => match enough {
            true => true,
            false => tokio::time::timeout(Duration::from_secs(4), ended).await.is_ok(),
        },
        enough = &mut ended => enough,
    }
}

/// Another client is served while it goes on, and when all is over nothing is left of it.
async fn nothing_is_left(stage: &Stage) {
    let start = Instant::now();
    let other = stage.client(true).get(stage.url("/")).send();
    let other = tokio::time::timeout(PATIENCE, other)
        .await
        .expect("others starve");
    assert_eq!(other.unwrap().status(), 200);
    assert!(
        start.elapsed() < Duration::from_secs(5),
        "{:?}",
        start.elapsed()
    );
    stage
        .metric_becomes("gateway_requests_in_flight", 0.0)
        .await;
}

async fn nobody_is_connected(stage: &Stage) {
    stage
        .metric_becomes("gateway_connections{listener=\"edge\"}", 0.0)
        .await;
}

/// What this process holds, in KiB.
fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.unwrap()
        .trim()
        .trim_end_matches(" kB")
        .trim()
        .parse()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gateway_11_rapid_resets_end_the_connection() {
    let stage = Stage::open(HASTY).await;
    let mut stream = enemy(&stage, &[]).await;
    let ended = flood(&mut stream, 20_000, |index| {
        let id = 2 * u32::try_from(index).unwrap() + 1;
        let open = frame(HEADERS, END_HEADERS | END_STREAM, id, &head(GET));
        [open, frame(RST_STREAM, 0, id, &8u32.to_be_bytes())].concat()
    })
    .await;
    assert!(ended, "20,000 resets are borne");
    drop(stream);
    nothing_is_left(&stage).await;
    nobody_is_connected(&stage).await;
}

/// The gateway is made to reset (RFC 9113 §5.4.2) instead of the client: the same work.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gateway_11_resets_that_we_are_made_to_send_end_the_connection() {
    let stage = Stage::open(HASTY).await;
    let mut stream = enemy(&stage, &[]).await;
    let ended = flood(&mut stream, 20_000, |index| {
        let id = 2 * u32::try_from(index).unwrap() + 1;
        let open = frame(HEADERS, END_HEADERS | END_STREAM, id, &head(GET));
        // A window that may not grow by nothing.
        [open, frame(8, 0, id, &[0; 4])].concat()
    })
    .await;
    assert!(ended, "20,000 faults are borne");
    drop(stream);
    nothing_is_left(&stage).await;
    nobody_is_connected(&stage).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gateway_11_a_head_that_never_ends_is_cut() {
    let stage = Stage::open(HASTY).await;
    let mut stream = enemy(&stage, &[]).await;
    let before = resident_kib();
    // 16 KiB each: a literal that goes on and on, then nothing at all.
    let block = [
        &[0x00, 0x01, b'x', 0x7f, 0x80, 0x7f][..],
        &vec![b'y'; 16_000],
    ]
    .concat();
    let ended = flood(&mut stream, 20_000, |index| match index {
        0 => frame(HEADERS, 0, 1, &head(GET)),
        _ if index < 100 => frame(CONTINUATION, 0, 1, &block),
        _ => frame(CONTINUATION, 0, 1, &[]),
    })
    .await;
    assert!(ended, "20,000 frames of one head are borne");
    let grown = resident_kib().saturating_sub(before);
    assert!(grown < 128 * 1024, "{grown} KiB for one head");
    drop(stream);
    nothing_is_left(&stage).await;
    nobody_is_connected(&stage).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gateway_11_empty_frames_leave_others_served() {
    let stage = Stage::before(Origin::start(Answer::echo).await, SHORT, HASTY).await;
    for kind in ["data", "settings", "ping"] {
        let mut stream = enemy(&stage, &[]).await;
        let before = resident_kib();
        let open = frame(HEADERS, END_HEADERS, 1, &head(POST));
        stream.write_all(&open).await.unwrap();
        let flooding = flood(&mut stream, 300_000, |_| match kind {
            "data" => frame(DATA, 0, 1, &[]),
            "settings" => frame(SETTINGS, 0, 0, &[]),
            _ => frame(PING, 0, 0, &[7; 8]),
        });
        // Meanwhile.
        let (_, ()) = tokio::join!(
            tokio::time::timeout(Duration::from_secs(6), flooding),
            async {
                for _ in 0..5 {
                    let other = stage.get("/", "");
                    let other = tokio::time::timeout(PATIENCE, other).await;
                    assert_eq!(other.expect("others starve").status, 200, "{kind}");
                }
            }
        );
        let grown = resident_kib().saturating_sub(before);
        assert!(grown < 128 * 1024, "{grown} KiB for {kind}");
        drop(stream);
        nothing_is_left(&stage).await;
        nobody_is_connected(&stage).await;
    }
}

/// Who never reads what is owed makes us keep it, unless we stop listening.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gateway_11_a_client_that_reads_nothing_is_not_listened_to() {
    let stage = Stage::before(Origin::start(Answer::echo).await, SHORT, HASTY).await;
    let mut stream = enemy(&stage, &[]).await;
    let before = resident_kib();
    let pings = frame(PING, 0, 0, &[7; 8]).repeat(1000);
    let sent = async {
        let mut sent = 0u64;
        while sent < 512 << 20 && stream.write_all(&pings).await.is_ok() {
            sent += pings.len() as u64;
        }
        sent
    };
    // It stalls on what we don't take any more, which is as it should be.
    let sent = tokio::time::timeout(Duration::from_secs(5), sent).await;
    assert!(sent.is_err() || sent.is_ok_and(|sent| sent < 512 << 20));
    let grown = resident_kib().saturating_sub(before);
    assert!(grown < 128 * 1024, "{grown} KiB of answers to pings");
    drop(stream);
    nothing_is_left(&stage).await;
    nobody_is_connected(&stage).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gateway_11_closed_windows_hold_no_answers() {
    let origin = Origin::start(|_| Answer::ok("x".repeat(4 << 20))).await;
    let stage = Stage::before(origin, SHORT, HASTY).await;
    let before = resident_kib();
    let mut stream = enemy(&stage, &[(INITIAL_WINDOW_SIZE, 0)]).await;
    stream
        .write_all(&frame(SETTINGS, ACK, 0, &[]))
        .await
        .unwrap();
    for id in (1..=99).step_by(2) {
        let open = frame(HEADERS, END_HEADERS | END_STREAM, id, &head(GET));
        stream.write_all(&open).await.unwrap();
    }
    stream.flush().await.unwrap();
    stage.origin.asked().await;
    // Nobody gives them a window: the answers, 200 MiB in all, are given up.
    let gone = async {
        while stage.metric("gateway_requests_aborted_total") < 1.0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, gone)
        .await
        .expect("they wait for ever");
    stage
        .metric_becomes("gateway_requests_in_flight", 0.0)
        .await;
    let grown = resident_kib().saturating_sub(before);
    // The origin is in this process too, and has made them all.
    assert!(grown < 600 * 1024, "{grown} KiB");
    drop(stream);
    nobody_is_connected(&stage).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gateway_11_a_table_of_headers_is_no_bomb() {
    let stage = Stage::open(HASTY).await;
    let mut stream = enemy(&stage, &[]).await;
    // One field of 4,000 bytes goes into the table, and is then named 4,000 times with a byte each.
    let value = vec![b'v'; 3_900];
    let mut block = head(GET);
    block.extend([0x40, 0x01, b'x', 0x7f, 0xbd, 0x1d]);
    block.extend(&value);
    block.extend(vec![0xbe; 4_000]);
    let before = resident_kib();
    for id in (1..=199).step_by(2) {
        let open = frame(HEADERS, END_HEADERS | END_STREAM, id, &block);
        if stream.write_all(&open).await.is_err() {
            break;
        }
    }
    let _ = stream.flush().await;
    nothing_is_left(&stage).await;
    let grown = resident_kib().saturating_sub(before);
    assert!(grown < 128 * 1024, "{grown} KiB for 8 KiB each");
    assert!(
        stage.origin.asked().await.headers.get("x").is_none(),
        "it went through"
    );
    drop(stream);
    nobody_is_connected(&stage).await;
}

#[tokio::test]
async fn gateway_12_a_body_that_drips_is_cut() {
    let stage = Stage::before(Origin::start(Answer::echo).await, SHORT, HASTY).await;
    let mut wire = stage.connect().await;
    wire.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n")
        .await;
    let start = Instant::now();
    let mut dripped = 0;
    // A byte in time for each stall timeout.
    while start.elapsed() < PATIENCE && stage.metric("gateway_requests_in_flight") > 0.0
        || dripped < 3
    {
        wire.send("x").await;
        dripped += 1;
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    assert!(
        start.elapsed() < Duration::from_secs(5),
        "{dripped} bytes in {:?}",
        start.elapsed()
    );
    stage
        .metric_becomes("gateway_requests_in_flight", 0.0)
        .await;
}

#[tokio::test]
async fn gateway_12_one_address_has_its_share_and_no_more() {
    let stage = Stage::before(
        Origin::start(Answer::echo).await,
        "max_connections_per_ip: 5",
        OPEN,
    )
    .await;
    let mut open = Vec::new();
    for _ in 0..5 {
        open.push(stage.connect().await);
    }
    stage
        .metric_becomes("gateway_connections{listener=\"plain\"}", 5.0)
        .await;
    for _ in 0..20 {
        assert_eq!(stage.connect().await.rest().await, "");
    }
    stage
        .metric_becomes("gateway_connections{listener=\"plain\"}", 5.0)
        .await;
    drop(open);
    stage
        .metric_becomes("gateway_connections{listener=\"plain\"}", 0.0)
        .await;
    assert_eq!(stage.get("/", "").await.status, 200);
}

#[tokio::test]
async fn a_changed_idle_timeout_reaches_http2_connections() {
    let stage = Stage::open(OPEN).await;
    let mut stream = enemy(&stage, &[]).await;
    stream
        .write_all(&frame(SETTINGS, ACK, 0, &[]))
        .await
        .unwrap();
    let open = frame(HEADERS, END_HEADERS | END_STREAM, 1, &head(GET));
    stream.write_all(&open).await.unwrap();
    stage.origin.asked().await;
    stage
        .metric_becomes("gateway_requests_in_flight", 0.0)
        .await;
    stage.reload("idle_timeout: 1s", OPEN).await;
    let mut told = Vec::new();
    let ended = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut told)).await;
    assert!(ended.is_ok(), "it goes on for the minute of before");
}
