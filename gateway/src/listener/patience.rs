use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::tls::{SslDigest, TlsRef};
use pingora::protocols::{
    ALPN, GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl,
    Stream, TimingDigest, UniqueID, UniqueIDType,
};
use prometheus::IntCounter;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use super::Visit;
use crate::framing::Fault;
use crate::framing::chunks::Chunks;
use crate::framing::raw::Reader;
use crate::plan;

/// What an HTTP/2 client must send first: the preface (24 bytes) and the head of its settings (9).
/// From then on the transport's own idle timeout holds.
const H2_PREFACE: usize = 24 + 9;

/// What the transport reads instead of a head that is refused: so the refusal goes the way of any
/// other, with an answer in our words and a record. Whoever sees the request asks
/// [`Turn::refused`] first.
const REFUSED: &[u8] = b"GET / HTTP/1.1\r\nHost: refused.invalid\r\nConnection: close\r\n\r\n";

/// Of a refused head's first line, this much goes into the record.
const FIRST_LINE: usize = 256;

/// What a body must bring on the average, in bytes a second, once the stall timeout has passed: the
/// slowest of modems does. One byte in each stall timeout would hold an upstream for ever.
const SLOWEST_BODY: u64 = 256;

/// A client's stream, with our patience for its heads and bodies and our eye on their framing.
///
/// The transport below bounds each *read* of a head, so that a client that sends a byte now and
/// then stays for ever. Here the whole head has one deadline, from its first byte to its last, and
/// so has the wait for that first byte. When one passes, the stream reads as ended; so it does
/// between two requests of a connection that should end.
///
/// An HTTP/1 head is handed on when it is whole and framed without a doubt. After one that is not,
/// nothing more is read.
pub struct Patient {
    stream: Stream,
    carried: Option<Arc<ProxyDigest>>,
    settings: Arc<ArcSwap<plan::Listener>>,
    ending: Pin<Box<dyn Future<Output = ()> + Send + Sync>>,
    turn: Arc<Turn>,
    /// The turn that the timer is set for.
    timed: u8,
    /// Unset while a request is served: a body and an answer have deadlines of their own.
    timer: Pin<Box<Sleep>>,
    /// Bytes of an HTTP/2 connection's opening.
    opening: usize,
    /// Of a head that is not whole yet, or was handed on in part.
    held: Vec<u8>,
    /// Of what is held, this much is the transport's to read.
    whole: usize,
    reader: Reader,
    chunks: Option<Chunks>,
    /// How the body comes that is being read.
    pace: Pace,
    h2: bool,
    /// Counts heads that never became a request: late or cut. There is no record of them.
    unserved: IntCounter,
}

/// Whose turn it is on a connection. Shared with the request, which says when it has begun and
/// when it is over.
#[derive(Debug, Default)]
pub struct Turn {
    whose: AtomicU8,
    refused: OnceLock<Refused>,
}

/// What was refused on a connection, which takes nothing more.
#[derive(Debug)]
pub struct Refused {
    /// For what.
    pub fault: Fault,
    /// Of the head's first line the method, as it came: perhaps no method, perhaps nothing.
    pub method: String,
    /// And of its target what stands before the query, not longer than what records take.
    pub path: String,
}

/// The client's: nothing of its next head is here yet.
const AWAITED: u8 = 0;
/// The client's: it is sending a head.
const HEAD: u8 = 1;
/// Ours.
const SERVED: u8 = 2;
/// Nobody's: what goes to and fro is no HTTP any more.
const TUNNEL: u8 = 3;

impl Turn {
    /// A request is served: its head is complete.
    pub fn begin(&self) {
        self.whose.store(SERVED, Ordering::Release);
    }

    /// The protocol was changed: from here on there are neither heads nor bodies.
    pub fn hand_over(&self) {
        self.whose.store(TUNNEL, Ordering::Release);
    }

    /// The answer is out: the next head may come.
    pub fn end(&self) {
        self.whose.store(AWAITED, Ordering::Release);
    }

    /// What was refused: the head that should have begun this request, or the chunks of its body.
    pub fn refused(&self) -> Option<&Refused> {
        self.refused.get()
    }
}

impl Patient {
    pub(super) fn new(stream: Stream, visit: &Arc<Visit>, h2: bool, unserved: IntCounter) -> Self {
        let settings = visit.listener.clone();
        // A new connection has one head's time to say something: it came to ask.
        let first = settings.load().header_timeout;
        let mut ending = visit.ending.clone();
        Self {
            stream,
            carried: visit.carried(),
            settings,
            ending: Box::pin(async move {
                // A listener that is gone ended its connections before.
                let _ = ending.wait_for(|ending| *ending).await;
            }),
            turn: Arc::default(),
            timed: AWAITED,
            timer: Box::pin(tokio::time::sleep(first)),
            opening: 0,
            held: Vec::new(),
            whole: 0,
            reader: Reader::default(),
            chunks: None,
            pace: Pace::new(),
            h2,
            unserved,
        }
    }

    /// Whose turn it is, for the request to say.
    pub fn turn(&self) -> Arc<Turn> {
        self.turn.clone()
    }

    fn wait(&mut self, turn: u8, time: Duration) {
        self.timed = turn;
        self.timer.as_mut().reset(Instant::now() + time);
    }

    /// The first byte of a head is here: the clock runs for all of it.
    fn began(&mut self) {
        if self.timed == AWAITED {
            self.turn.whose.store(HEAD, Ordering::Release);
            self.opening = 0;
            self.reader = Reader::default();
            self.chunks = None;
            let time = self.settings.load().header_timeout;
            self.wait(HEAD, time);
        }
    }

    /// Takes what came of a head. What of `buffer` is behind `before` is the transport's, unless
    /// the head is not whole yet or refused.
    fn take(&mut self, buffer: &mut ReadBuf<'_>, before: usize) {
        let max = self.settings.load().max_header;
        let held = !self.held.is_empty();
        if held {
            self.held.extend_from_slice(&buffer.filled()[before..]);
            buffer.set_filled(before);
        }
        let came = if held {
            &self.held[..]
        } else {
            &buffer.filled()[before..]
        };
        let fault = match self.reader.read(came, max) {
            Ok(None) => {
                if !held {
                    self.held = came.to_vec();
                    buffer.set_filled(before);
                }
                return;
            }
            Ok(Some(head)) => {
                let mut chunks = head.chunked.then(Chunks::default);
                let body = &came[head.length..];
                let read = chunks.as_mut().map_or(Ok(()), |chunks| chunks.read(body));
                self.chunks = chunks;
                read.err()
            }
            Err(fault) => Some(fault),
        };
        if let Some(fault) = fault {
            let refused = Refused::of(came, fault);
            // The first is what is told; there is no second.
            let _ = self.turn.refused.set(refused);
            buffer.set_filled(before);
            self.held = REFUSED.to_vec();
        }
        if !self.held.is_empty() {
            self.whole = self.held.len();
            self.hand_on(buffer);
        }
    }

    /// Gives the transport what it may read of what is held.
    fn hand_on(&mut self, buffer: &mut ReadBuf<'_>) {
        let from = self.held.len() - self.whole;
        let size = self.whole.min(buffer.remaining());
        buffer.put_slice(&self.held[from..from + size]);
        self.whole -= size;
        if self.whole == 0 {
            self.held = Vec::new();
        }
    }

    /// Reads a body that passes by.
    fn pass(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Some(chunks) = &mut self.chunks else {
            return Ok(());
        };
        chunks.read(bytes).map_err(|fault| {
            let _ = self.turn.refused.set(Refused::of(b"", fault));
            io::Error::new(io::ErrorKind::InvalidData, fault)
        })
    }
}

impl Refused {
    fn of(head: &[u8], fault: Fault) -> Self {
        let line = head.split(|byte| b"\r\n".contains(byte)).next();
        let line = line.unwrap_or_default();
        let line = String::from_utf8_lossy(&line[..line.len().min(FIRST_LINE)]);
        let (method, rest) = line.split_once(' ').unwrap_or((&line, ""));
        let target = rest
            .rsplit_once(" HTTP/")
            .map_or(rest, |(target, _)| target);
        let path = target.split(['?', '#']).next().unwrap_or_default();
        Self {
            fault,
            method: method.to_owned(),
            path: path.to_owned(),
        }
    }
}

/// How a body comes.
struct Pace {
    bytes: u64,
    since: Instant,
    last: Instant,
}

impl Pace {
    fn new() -> Self {
        let now = Instant::now();
        Self {
            bytes: 0,
            since: now,
            last: now,
        }
    }

    /// Counts bytes, and tells whether they come fast enough.
    fn keeps(&mut self, bytes: usize, grace: Duration) -> bool {
        let now = Instant::now();
        if now.duration_since(self.last) > grace {
            // No body makes such a pause and lives: these are a client's that is early with its
            // next request.
            *self = Self::new();
        }
        self.last = now;
        self.bytes += bytes as u64;
        let enough = grace + Duration::from_secs(self.bytes / SLOWEST_BODY);
        now.duration_since(self.since) <= enough
    }
}

impl Drop for Patient {
    fn drop(&mut self) {
        if self.turn.whose.load(Ordering::Acquire) == HEAD {
            self.unserved.inc();
        }
    }
}

impl AsyncRead for Patient {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.whole > 0 {
            self.hand_on(buffer);
            return Poll::Ready(Ok(()));
        }
        if self.turn.refused().is_some() {
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        let turn = self.turn.whose.load(Ordering::Acquire);
        if turn == SERVED || turn == TUNNEL {
            if self.timed != SERVED {
                self.timed = SERVED;
                self.pace = Pace::new();
            }
            let polled = Pin::new(&mut self.stream).poll_read(context, buffer);
            let came = buffer.filled().len() - before;
            if came > 0 && turn == SERVED && !self.h2 {
                let grace = self.settings.load().stall_timeout;
                if !self.pace.keeps(came, grace) {
                    buffer.set_filled(before);
                    return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
                }
            }
            return match polled {
                Poll::Ready(Ok(())) => Poll::Ready(self.pass(&buffer.filled()[before..])),
                other => other,
            };
        }
        // Not `timed == SERVED`: nothing is read while an answer of our own goes out.
        if turn == AWAITED && self.timed != AWAITED {
            let time = self.settings.load().idle_timeout;
            self.wait(AWAITED, time);
        }
        loop {
            match Pin::new(&mut self.stream).poll_read(context, buffer) {
                Poll::Pending if self.timer.as_mut().poll(context).is_ready() => {
                    return Poll::Ready(Ok(()));
                }
                // HTTP/2 has a word for it, and is asked to say it by the transport.
                Poll::Pending
                    if self.timed == AWAITED
                        && !self.h2
                        && self.ending.as_mut().poll(context).is_ready() =>
                {
                    return Poll::Ready(Ok(()));
                }
                Poll::Ready(Ok(())) if buffer.filled().len() > before => {}
                other => return other,
            }
            self.began();
            if self.timer.deadline() <= Instant::now() {
                buffer.set_filled(before);
                return Poll::Ready(Ok(()));
            }
            if self.h2 {
                self.opening += buffer.filled().len() - before;
                if self.opening >= H2_PREFACE {
                    self.turn.begin();
                }
                return Poll::Ready(Ok(()));
            }
            self.take(buffer, before);
            if buffer.filled().len() > before {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl AsyncWrite for Patient {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, bytes)
    }
    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

impl std::fmt::Debug for Patient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Patient")
            .field("stream", &self.stream)
            .field("turn", &self.turn)
            .finish_non_exhaustive()
    }
}

// All else is the stream's.

#[async_trait]
impl Shutdown for Patient {
    async fn shutdown(&mut self) {
        self.stream.shutdown().await;
    }
}

impl UniqueID for Patient {
    fn id(&self) -> UniqueIDType {
        self.stream.id()
    }
}

impl Ssl for Patient {
    fn get_ssl(&self) -> Option<&TlsRef> {
        self.stream.get_ssl()
    }
    fn get_ssl_digest(&self) -> Option<Arc<SslDigest>> {
        self.stream.get_ssl_digest()
    }
    fn selected_alpn_proto(&self) -> Option<ALPN> {
        self.stream.selected_alpn_proto()
    }
}

impl Peek for Patient {}

impl GetTimingDigest for Patient {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        self.stream.get_timing_digest()
    }
    fn get_read_pending_time(&self) -> Duration {
        self.stream.get_read_pending_time()
    }
    fn get_write_pending_time(&self) -> Duration {
        self.stream.get_write_pending_time()
    }
}

impl GetProxyDigest for Patient {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        self.carried.clone()
    }
}

impl GetSocketDigest for Patient {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        self.stream.get_socket_digest()
    }
}
