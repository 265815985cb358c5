use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::Duration;

use pingora::apps::ServerApp as _;
use pingora::protocols::Ssl as _;
use pingora::protocols::{ALPN, Stream};
use plugin_sdk::Connection;
use prometheus::IntCounter;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::Instant;

use super::census::Guest;
use super::driver::Driver;
use super::handshakes::Shaken;
use super::patience::Patient;
use super::socket::Socket;
use super::{Door, Visit, proxied};

/// After an accept that failed for want of file descriptors: others must close first.
const PAUSE: Duration = Duration::from_millis(50);

/// What a connection that should end has for it, from its last request on.
const FAREWELL: Duration = Duration::from_secs(5);

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
            Ok((tcp, peer)) => welcome(&door, tcp, peer),
            Err(error) => {
                tracing::warn!(listener = door.name, %error, "a connection can't be accepted");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

fn welcome(door: &Arc<Door>, tcp: TcpStream, peer: SocketAddr) {
    let guest = door.census.enter();
    let door = door.clone();
    tokio::spawn(async move {
        if let Err(reason) = serve(&door, tcp, peer, guest).await {
            door.unserved(reason).inc();
        }
    });
}

/// Serves one connection to its end. The error says why it was not, as the metric's label.
async fn serve(
    door: &Arc<Door>,
    tcp: TcpStream,
    peer: SocketAddr,
    mut guest: Guest,
) -> Result<(), &'static str> {
    let settings = door.settings.load_full();
    let ending = door.ending();
    let fd = tcp.as_raw_fd();
    let mut peer = peer;
    if !settings.proxy_protocol && !guest.is_from(peer.ip(), settings.max_connections_per_ip) {
        return Err("per_ip");
    }
    // Small answers must not wait for an acknowledgement. It fails when the client is gone.
    if tcp.set_nodelay(true).is_err() {
        return Ok(());
    }
    let mut socket = Socket::new(tcp, fd);
    let deadline = Instant::now() + settings.handshake_timeout;
    if settings.proxy_protocol {
        let trusted = &settings.trusted_proxies;
        if !trusted.iter().any(|network| network.contains(peer.ip())) {
            return Err("proxy_untrusted");
        }
        let read = tokio::time::timeout_at(deadline, proxied::read(&mut socket)).await;
        match read.map_err(|_| "proxy_timeout")? {
            Ok(Some(client)) => peer = client,
            // The balancer asks for itself, whether we live.
            Ok(None) => {}
            Err(_) => return Err("proxy_header"),
        }
        if !guest.is_from(peer.ip(), settings.max_connections_per_ip) {
            return Err("per_ip");
        }
    }
    socket.is_from(peer);
    let mut visit = Visit {
        listener: door.settings.clone(),
        connection: Connection {
            tls: door.handshakes.is_some(),
            ..Connection::default()
        },
        served: None,
        ending,
    };
    let stream: Stream = match &door.handshakes {
        None => Box::new(socket),
        Some(handshakes) => {
            let current = handshakes.current();
            let handshake = current.acceptor.tls_handshake(socket);
            let shaken = tokio::time::timeout_at(deadline, handshake).await;
            let stream = shaken.map_err(|_| "handshake_timeout")?;
            let stream = stream.map_err(|_| "handshake")?;
            if let Some(digest) = stream.get_ssl_digest()
                && let Some(shaken) = digest.extension.get::<Shaken>()
            {
                let connection = &mut visit.connection;
                connection.server_name.clone_from(&shaken.server_name);
                connection.certificate.clone_from(&shaken.certificate);
            }
            visit.served = Some(current.served.clone());
            Box::new(stream)
        }
    };
    let visit = Arc::new(visit);
    let h2 = matches!(stream.selected_alpn_proto(), Some(ALPN::H2));
    let patient = Patient::new(stream, &visit, h2, door.unserved("head"));
    let driver = Driver::new(door.proxy.clone(), &settings);
    let mut cut = door.cut.subscribe();
    tokio::select! {
        _ = driver.process_new(Box::new(patient), &visit.ending) => {}
        _ = cut.wait_for(|cut| *cut) => {}
        () = outstayed(&visit) => {}
    }
    drop(guest);
    Ok(())
}

/// Ends when a connection that should end has been given its time, and nothing is served on it.
/// HTTP/2 clients are told (GOAWAY), and the transport waits for them to go, however long.
async fn outstayed(visit: &Arc<Visit>) {
    // A listener that is gone ended its connections before.
    let _ = visit.ending.clone().wait_for(|ending| *ending).await;
    loop {
        tokio::time::sleep(FAREWELL).await;
        if !visit.is_in_use() {
            return;
        }
    }
}

impl Door {
    /// Counts connections that end unserved, for one reason.
    fn unserved(&self, reason: &str) -> IntCounter {
        let all = &self.shared.metrics.connections_refused;
        all.with_label_values(&[self.name.as_str(), reason])
    }
}
