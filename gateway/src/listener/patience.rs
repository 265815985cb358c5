use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
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

use crate::plan;

/// What an HTTP/2 client must send first: the preface (24 bytes) and the head of its settings (9).
/// From then on the transport's own idle timeout holds.
const H2_PREFACE: usize = 24 + 9;

/// A client's stream, with our patience for its heads.
///
/// The transport below bounds each *read* of a head, so that a client that sends a byte now and
/// then stays for ever. Here the whole head has one deadline, from its first byte to its last, and
/// so has the wait for that first byte. When one passes, the stream reads as ended.
pub struct Patient {
    stream: Stream,
    settings: Arc<ArcSwap<plan::Listener>>,
    turn: Arc<Turn>,
    /// The turn that the timer is set for.
    timed: u8,
    /// Unset while a request is served: a body and an answer have deadlines of their own.
    timer: Pin<Box<Sleep>>,
    /// Bytes of the head that is being read.
    head: usize,
    h2: bool,
    /// Counts heads that never became a request: late, cut or not understood. The transport
    /// answers these itself, and there is no record of them.
    unserved: IntCounter,
}

/// Whose turn it is on a connection. Shared with the request, which says when it has begun and
/// when it is over.
#[derive(Debug)]
pub struct Turn(AtomicU8);

/// The client's: nothing of its next head is here yet.
const AWAITED: u8 = 0;
/// The client's: it is sending a head.
const HEAD: u8 = 1;
/// Ours.
const SERVED: u8 = 2;

impl Turn {
    /// A request is served: its head is complete.
    pub fn begin(&self) {
        self.0.store(SERVED, Ordering::Release);
    }

    /// The answer is out: the next head may come.
    pub fn end(&self) {
        self.0.store(AWAITED, Ordering::Release);
    }
}

impl Patient {
    pub(super) fn new(
        stream: Stream,
        settings: Arc<ArcSwap<plan::Listener>>,
        h2: bool,
        unserved: IntCounter,
    ) -> Self {
        // A new connection has one head's time to say something: it came to ask.
        let first = settings.load().header_timeout;
        Self {
            stream,
            settings,
            turn: Arc::new(Turn(AtomicU8::new(AWAITED))),
            timed: AWAITED,
            timer: Box::pin(tokio::time::sleep(first)),
            head: 0,
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

    /// Counts what came of a head, and tells whether there is patience left for it.
    fn took(&mut self, bytes: usize) -> bool {
        if self.timed == AWAITED {
            self.turn.0.store(HEAD, Ordering::Release);
            self.head = 0;
            let time = self.settings.load().header_timeout;
            self.wait(HEAD, time);
        }
        self.head += bytes;
        if self.h2 {
            if self.head >= H2_PREFACE {
                self.turn.begin();
            }
            return true;
        }
        // Up to twice the bound a head gets its 431; what is longer yet is not worth an answer.
        let most = self.settings.load().max_header.saturating_mul(2) + H2_PREFACE;
        self.head <= most && self.timer.deadline() > Instant::now()
    }
}

impl Drop for Patient {
    fn drop(&mut self) {
        if self.turn.0.load(Ordering::Acquire) == HEAD {
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
        let turn = self.turn.0.load(Ordering::Acquire);
        if turn == SERVED {
            self.timed = SERVED;
            return Pin::new(&mut self.stream).poll_read(context, buffer);
        }
        if self.timed == SERVED {
            let time = self.settings.load().idle_timeout;
            self.wait(AWAITED, time);
        }
        let before = buffer.filled().len();
        match Pin::new(&mut self.stream).poll_read(context, buffer) {
            Poll::Pending if self.timer.as_mut().poll(context).is_ready() => Poll::Ready(Ok(())),
            Poll::Ready(Ok(())) if buffer.filled().len() > before => {
                let bytes = buffer.filled().len() - before;
                if !self.took(bytes) {
                    buffer.set_filled(before);
                }
                Poll::Ready(Ok(()))
            }
            other => other,
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
        self.stream.get_proxy_digest()
    }
}

impl GetSocketDigest for Patient {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        self.stream.get_socket_digest()
    }
}
