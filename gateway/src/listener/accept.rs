use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::Duration;

use pingora::apps::ServerApp as _;
use pingora::protocols::{ALPN, Stream};
use prometheus::IntCounter;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::Door;
use super::census::Guest;
use super::patience::Patient;
use super::socket::Socket;

/// After an accept that failed for want of file descriptors: others must close first.
const PAUSE: Duration = Duration::from_millis(50);

/// Accepts until it is told to stop.
pub(super) async fn connections(
    door: Arc<Door>,
    socket: TcpListener,
    mut stop: watch::Receiver<bool>,
) {
    loop {
        let next = async {
            // Over the cap, connections wait in the kernel's queue.
            door.census
                .room(|| door.settings.load().max_connections)
                .await;
            socket.accept().await
        };
        let accepted = tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => return,
            accepted = next => accepted,
        };
        match accepted {
            Ok((tcp, peer)) => welcome(&door, tcp, peer, &stop),
            Err(error) => {
                tracing::warn!(listener = door.name, %error, "a connection can't be accepted");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

fn welcome(door: &Arc<Door>, tcp: TcpStream, peer: SocketAddr, stop: &watch::Receiver<bool>) {
    let per_ip = door.settings.load().max_connections_per_ip;
    let Some(guest) = door.census.enter(peer.ip(), per_ip) else {
        door.unserved("per_ip").inc();
        return;
    };
    tokio::spawn(serve(door.clone(), tcp, peer, guest, stop.clone()));
}

/// Serves one connection to its end.
async fn serve(
    door: Arc<Door>,
    tcp: TcpStream,
    peer: SocketAddr,
    guest: Guest,
    stop: watch::Receiver<bool>,
) {
    // Small answers must not wait for an acknowledgement.
    if tcp.set_nodelay(true).is_err() {
        return;
    }
    let fd = tcp.as_raw_fd();
    let socket = Socket::new(tcp, fd, peer);
    let settings = door.settings.load_full();
    let stream: Stream = match &door.certificate {
        None => Box::new(socket),
        Some(certificate) => {
            let handshake = certificate.acceptor().tls_handshake(socket);
            match tokio::time::timeout(settings.handshake_timeout, handshake).await {
                Ok(Ok(stream)) => Box::new(stream),
                Ok(Err(_)) => return door.unserved("handshake").inc(),
                Err(_) => return door.unserved("handshake_timeout").inc(),
            }
        }
    };
    let h2 = matches!(stream.selected_alpn_proto(), Some(ALPN::H2));
    let patient = Patient::new(stream, door.settings.clone(), h2, door.unserved("head"));
    let mut cut = door.cut.subscribe();
    tokio::select! {
        _ = door.proxy.process_new(Box::new(patient), &stop) => {}
        _ = cut.wait_for(|cut| *cut) => {}
    }
    drop(guest);
}

impl Door {
    /// Counts connections that end unserved, for one reason.
    fn unserved(&self, reason: &str) -> IntCounter {
        let all = &self.shared.metrics.connections_refused;
        all.with_label_values(&[self.name.as_str(), reason])
    }
}
