//! The access record: one per request, written as a line of JSON by a thread of its own.
//!
//! A request never waits for the log: the queue is bounded, and what does not fit is dropped and
//! counted. No secret gets in: of a query only the names are kept, of headers nothing.

use std::io::{self, Write};
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use plugin_sdk::Principal;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use time::OffsetDateTime;

use crate::metrics::Metrics;

/// More records than this wait nowhere.
const QUEUE: usize = 8_192;
/// A record is written after so long at the latest. Within it a queue fills up only beyond 400,000
/// requests per second.
const GATHER: Duration = Duration::from_millis(20);
/// Records are written in pieces of so many bytes.
const WRITE: usize = 64 * 1024;

/// How much of a path is written down, in characters.
pub const MAX_PATH: usize = 2_048;

/// What is kept of one request.
#[derive(Debug, Clone, Serialize)]
pub struct Record {
    /// When its head was read.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// The id that the answer and the backends' logs share.
    pub request_id: String,
    /// The trace that it belongs to (W3C Trace Context).
    pub trace_id: String,
    /// The route; empty when none took it.
    pub route: Arc<str>,
    /// The method, as it came; its beginning, when it is none that we know.
    pub method: String,
    /// The host asked for, in canonical form; empty when the request reached no route.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub host: String,
    /// The canonical path; as it came when it has no canonical form. At most [`MAX_PATH`] of it.
    pub path: String,
    /// The names of the query's parameters. Their values may be secrets.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub query: Vec<String>,
    /// The status that the client got; `None` when it went away first.
    pub status: Option<u16>,
    /// The code of the problem, when we answered with one.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub code: &'static str,
    /// Of the request's body.
    pub bytes_in: u64,
    /// Of the answer's body.
    pub bytes_out: u64,
    /// From the head to the end of the answer.
    pub took_us: u64,
    /// The upstream's name; empty when none was asked.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub upstream: Arc<str>,
    /// From the choice of an upstream to the head of its answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream_us: Option<u64>,
    /// The address that counts as the client's.
    pub client: Option<IpAddr>,
    /// Who called.
    #[serde(flatten)]
    pub who: Who,
    /// `h1` or `h2`.
    pub protocol: &'static str,
    /// The version of TLS; empty on a plain listener.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub tls: String,
    /// What the cache did; empty when it was not asked.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub cache: &'static str,
    /// The plugin that answered, or `gateway`; empty when neither did.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub refused_by: &'static str,
    /// The policies in shadow that would have refused it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub would_deny: Vec<Arc<str>>,
    /// Whether it ended before its answer did: somebody went away, or a hook panicked.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub aborted: bool,
}

/// Who called, as `user` (the subject), `roles`, `scopes`, `acr` and `auth_time`: what rules judge by,
/// so that another table can be tried on what happened. Nothing when it was nobody.
#[derive(Debug, Clone, Default)]
pub struct Who(pub Option<Arc<Principal>>);

impl Serialize for Who {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        if let Some(who) = &self.0 {
            map.serialize_entry("user", &who.sub)?;
            for (name, list) in [("roles", &who.roles), ("scopes", &who.scopes)] {
                if !list.is_empty() {
                    map.serialize_entry(name, list)?;
                }
            }
            if let Some(acr) = &who.acr {
                map.serialize_entry("acr", acr)?;
            }
            if let Some(at) = who.auth_time {
                map.serialize_entry("auth_time", &at)?;
            }
        }
        map.end()
    }
}

/// The names in a query, as they came, at most 16 of them and 64 characters each. What has no value
/// is left out: in `/reset?s3cr3t` it is the value that stands there.
pub fn query_names(query: &str) -> Vec<String> {
    query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, _)| name)
        .filter(|name| !name.is_empty())
        .take(16)
        .map(|name| beginning(name, 64))
        .collect()
}

/// At most so many characters of what a client chose: a full queue must not be a full memory.
pub fn beginning(text: &str, most: usize) -> String {
    text.chars().take(most).collect()
}

/// Where records go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// Standard output.
    Stdout,
    /// The end of a file, made when it is not there.
    File(PathBuf),
}

/// Takes records and has them written.
pub struct AccessLog {
    /// `None` says that no more will come.
    queue: SyncSender<Option<Box<Record>>>,
    metrics: Arc<Metrics>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

impl AccessLog {
    /// Starts the thread that writes.
    pub fn start(target: &Target, metrics: Arc<Metrics>) -> io::Result<Self> {
        let out: Box<dyn Write + Send> = match target {
            Target::Stdout => Box::new(io::stdout()),
            Target::File(path) => Box::new(
                std::fs::OpenOptions::new()
                    .create(true)
                    .append(true)
                    .open(path)?,
            ),
        };
        Self::start_on(out, metrics)
    }

    fn start_on(out: Box<dyn Write + Send>, metrics: Arc<Metrics>) -> io::Result<Self> {
        let (queue, records) = sync_channel(QUEUE);
        let writer = std::thread::Builder::new()
            .name("access-log".into())
            .spawn(move || write(&records, io::BufWriter::with_capacity(WRITE, out)))?;
        Ok(Self {
            queue,
            metrics,
            writer: Mutex::new(Some(writer)),
        })
    }

    /// Hands a record over, or drops it when the queue is full.
    pub fn record(&self, record: Box<Record>) {
        match self.queue.try_send(Some(record)) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.metrics.log_dropped.inc();
            }
        }
    }

    /// Blocks until all records so far are written, and ends the thread. Later ones are dropped.
    pub fn stop(&self) {
        let writer = self
            .writer
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let Some(writer) = writer else { return };
        // It fails only when the thread is gone already.
        let _ = self.queue.send(None);
        if writer.join().is_err() {
            tracing::error!("the access log's thread panicked");
        }
    }
}

fn write(records: &Receiver<Option<Box<Record>>>, mut out: impl Write) {
    while let Ok(Some(first)) = records.recv() {
        let mut next = Some(first);
        let mut last = false;
        // All that waits goes out in one write.
        while let Some(record) = next {
            let line = serde_json::to_vec(&record).map_err(io::Error::from);
            if let Err(error) = line.and_then(|mut line| {
                line.push(b'\n');
                out.write_all(&line)
            }) {
                tracing::error!(%error, "an access record can't be written");
            }
            next = match records.try_recv() {
                Ok(None) => {
                    last = true;
                    None
                }
                Ok(record) => record,
                Err(_) => None,
            };
        }
        if let Err(error) = out.flush() {
            tracing::error!(%error, "access records can't be written");
        }
        if last {
            return;
        }
        // Asleep on the clock and not on the queue: a request then wakes nobody, which costs more
        // than all else that it does for its record.
        std::thread::sleep(GATHER);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Box<Record> {
        Box::new(Record {
            at: OffsetDateTime::UNIX_EPOCH,
            request_id: "r".into(),
            trace_id: "t".into(),
            route: "me".into(),
            method: "GET".into(),
            host: "edge.test".into(),
            path: "/v1/me\n\u{1b}".into(),
            query: query_names("token=SECRET&page=2&&SECRET&=SECRET"),
            status: Some(200),
            code: "",
            bytes_in: 0,
            bytes_out: 2,
            took_us: 7,
            upstream: "users".into(),
            upstream_us: None,
            client: Some(IpAddr::from([192, 0, 2, 1])),
            who: Who::default(),
            protocol: "h2",
            tls: String::new(),
            cache: "",
            refused_by: "",
            would_deny: Vec::new(),
            aborted: false,
        })
    }

    #[test]
    fn a_record_says_by_what_its_caller_was_judged() {
        let mut record = record();
        record.who = Who(Some(Arc::new(Principal {
            sub: "u1".into(),
            roles: vec!["user".into()],
            acr: Some("mfa".into()),
            auth_time: Some(7),
            ..Principal::default()
        })));
        let line: serde_json::Value = serde_json::to_value(record).expect("JSON");
        assert_eq!(line["user"], "u1");
        assert_eq!(line["roles"], serde_json::json!(["user"]));
        assert_eq!(
            (&line["acr"], &line["auth_time"]),
            (&"mfa".into(), &7.into())
        );
        assert!(line.get("scopes").is_none());
    }

    #[test]
    fn a_record_is_one_line_without_secrets() {
        let line = serde_json::to_string(&record()).expect("a record is JSON");
        expect_test::expect![[r#"{"at":"1970-01-01T00:00:00Z","request_id":"r","trace_id":"t","route":"me","method":"GET","host":"edge.test","path":"/v1/me\n\u001b","query":["token","page"],"status":200,"bytes_in":0,"bytes_out":2,"took_us":7,"upstream":"users","client":"192.0.2.1","protocol":"h2"}"#]].assert_eq(&line);
    }

    /// Blocks its first write until the test lets go.
    struct Stuck(Mutex<std::sync::mpsc::Receiver<()>>);

    impl Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.0.lock().expect("one thread").recv();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_stuck_disk_costs_records_and_nothing_else() {
        let metrics = Arc::new(Metrics::default());
        let (let_go, held) = sync_channel::<()>(1);
        let log = AccessLog::start_on(Box::new(Stuck(Mutex::new(held))), metrics.clone())
            .expect("a thread");
        // The thread holds back at most what one drain of the queue took.
        for _ in 0..3 * QUEUE {
            log.record(record());
        }
        assert!(metrics.log_dropped.get() > 0);
        drop(let_go);
        log.stop();
    }
}
