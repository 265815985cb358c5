//! One listener: bounded, with a deadline for slow heads, drained at the end.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

/// The most connections at once; the rest wait in the kernel's queue.
const MAX_CONNECTIONS: usize = 4096;
/// How long a request's head may take to arrive, and a kept connection may idle.
const HEAD_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a connection that was accepted last has to bring its request.
const LAST_HEADS: Duration = Duration::from_millis(100);
/// The largest head, in bytes: the gateway's seal fits in with room.
const MAX_HEAD_BYTES: usize = 64 * 1024;

/// Serves until told to stop, then until the requests under way are answered.
pub(crate) async fn serve(listener: TcpListener, router: Router, stop: CancellationToken) {
    let service = TowerToHyperService::new(
        router.map_request(|request: hyper::Request<Incoming>| request.map(Body::new)),
    );
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD_BYTES);
    let graceful = GracefulShutdown::new();
    let seats = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    while let Some((stream, seat)) = next(&listener, &seats, &stop).await {
        let connection = http.serve_connection(TokioIo::new(stream), service.clone());
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            // A client that goes away midway is none of our errors.
            let _ = connection.await;
            drop(seat);
        });
    }
    drop(listener);
    // hyper closes a connection on which it has read nothing yet, and the request of one that was
    // accepted just now is still on its way.
    tokio::time::sleep(LAST_HEADS).await;
    graceful.shutdown().await;
}

/// The next connection and its seat; `None` once we are to stop.
async fn next(
    listener: &TcpListener,
    seats: &Arc<Semaphore>,
    stop: &CancellationToken,
) -> Option<(tokio::net::TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let accept = async {
        let seat = seats.clone().acquire_owned().await.expect("never closed");
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    // Answers are small and one at a time: waiting to fill a packet only delays.
                    let _ = stream.set_nodelay(true);
                    return (stream, seat);
                }
                Err(error) => {
                    // Out of file descriptors, as a rule: without a pause this loop would spin.
                    tracing::error!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    };
    tokio::select! {
        // Who stands in the kernel's queue when we are told to stop is let in: closing the listener
        // would reset them.
        biased;
        accepted = accept => Some(accepted),
        () = stop.cancelled() => None,
    }
}
