use std::io;
use std::net::SocketAddr;
use std::os::fd::RawFd;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::{
    GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl,
    TimingDigest, UniqueID, UniqueIDType,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufStream, ReadBuf};
use tokio::net::TcpStream;

/// An idle connection costs what its buffers cost: the transport's own 64 KiB would be most of it.
const READ_BUFFER: usize = 4 * 1024;
/// Large enough for head and body of a small answer to leave in one packet train and one call.
const WRITE_BUFFER: usize = 8 * 1024;
/// How long the rest of what a client sends is read and forgotten after we are done with it.
const LINGER: Duration = Duration::from_secs(1);
/// How much of it.
const LINGER_BYTES: usize = 1024 * 1024;

/// A client's TCP connection, with buffers of our size and an unhurried end.
#[derive(Debug)]
pub(super) struct Socket {
    /// `None` only while it is dropped.
    io: Option<BufStream<TcpStream>>,
    digest: Arc<SocketDigest>,
    accepted: SystemTime,
    fd: RawFd,
    /// Whether the client has said that it sends no more.
    ended: bool,
}

impl Socket {
    pub(super) fn new(tcp: TcpStream, fd: RawFd) -> Self {
        Self {
            io: Some(BufStream::with_capacity(READ_BUFFER, WRITE_BUFFER, tcp)),
            digest: Arc::new(SocketDigest::from_raw_fd(fd)),
            accepted: SystemTime::now(),
            fd,
            ended: false,
        }
    }

    /// Who is at its other end. Said once.
    pub(super) fn is_from(&self, peer: SocketAddr) {
        // A fresh cell takes its first value.
        let _ = self.digest.peer_addr.set(Some(peer.into()));
    }

    fn io(&mut self) -> Pin<&mut BufStream<TcpStream>> {
        Pin::new(self.io.as_mut().expect("taken in drop only"))
    }
}

impl Drop for Socket {
    /// Closing with bytes unread resets the connection, and the reset may overtake our answer: a
    /// client that we told 413 would see an error instead. So we read on for a moment.
    fn drop(&mut self) {
        let runtime = tokio::runtime::Handle::try_current();
        if let (Some(io), Ok(runtime), false) = (self.io.take(), runtime, self.ended) {
            runtime.spawn(async move {
                let mut io = io;
                let _ = tokio::time::timeout(LINGER, linger(&mut io)).await;
            });
        }
    }
}

async fn linger(io: &mut BufStream<TcpStream>) -> io::Result<()> {
    io.shutdown().await?;
    let mut sink = [0; 4096];
    let mut left = LINGER_BYTES;
    while left > 0 {
        match io.read(&mut sink).await? {
            0 => return Ok(()),
            n => left = left.saturating_sub(n),
        }
    }
    Ok(())
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = self.io().poll_read(context, buffer);
        if polled.is_ready() && buffer.filled().len() == before && buffer.remaining() > 0 {
            self.ended = true;
        }
        polled
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.io().poll_write(context, bytes)
    }
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.io().poll_flush(context)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.io().poll_shutdown(context)
    }
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.io().poll_write_vectored(context, bytes)
    }
    fn is_write_vectored(&self) -> bool {
        true
    }
}

#[async_trait]
impl Shutdown for Socket {
    async fn shutdown(&mut self) {
        // The client may be gone already, which is what is wanted.
        let _ = AsyncWriteExt::shutdown(self).await;
    }
}

impl UniqueID for Socket {
    fn id(&self) -> UniqueIDType {
        self.fd
    }
}

impl Ssl for Socket {}

impl Peek for Socket {}

impl GetTimingDigest for Socket {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        vec![Some(TimingDigest {
            established_ts: self.accepted,
            ..TimingDigest::default()
        })]
    }
}

impl GetProxyDigest for Socket {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        None
    }
}

impl GetSocketDigest for Socket {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        Some(self.digest.clone())
    }
}
