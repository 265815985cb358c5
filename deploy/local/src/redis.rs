//! A Redis to throw away, for tests.

use std::{
    ffi::OsStr,
    fs::{self, File},
    io::{self, Read, Write},
    net::TcpStream,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};

use crate::{
    leash::{Farewell, Leash, Program},
    room, tail,
};

const READY_WITHIN: Duration = Duration::from_secs(20);
const STOPPED_WITHIN: Duration = Duration::from_secs(5);
/// A free port may be taken by another process before Redis binds it.
const TRIES: usize = 5;

/// A running server on a loopback port of its own, keeping nothing on disk. Dropping it stops it;
/// so does the end of this process, however it comes.
#[derive(Debug)]
pub struct Server {
    leash: Leash,
    port: u16,
}

impl Server {
    /// Starts a server.
    ///
    /// # Errors
    /// When redis-server is not installed or does not start; the message carries the end of its log.
    pub fn start() -> anyhow::Result<Self> {
        let mut last = None;
        for _ in 0..TRIES {
            let [port] = room::free_ports()?;
            match Self::start_on(port) {
                Ok(server) => return Ok(server),
                Err(error) => last = Some(error),
            }
        }
        Err(last.context("no try was made")?)
    }

    /// Starts a server on a given loopback port: a test that stops Redis may bring it back.
    ///
    /// # Errors
    /// As [`Server::start`], and when the port is taken.
    pub fn start_on(port: u16) -> anyhow::Result<Self> {
        let place = room::private(&std::env::temp_dir())?;
        let log = place.join("redis.log");
        let output = File::create(&log)?;
        let port_text = port.to_string();
        let line = ["redis-server", "--bind", "127.0.0.1", "--port", &port_text];
        let nothing_kept = ["--save", "", "--appendonly", "no", "--dir"];
        let mut line: Vec<&OsStr> = line.iter().chain(&nothing_kept).map(OsStr::new).collect();
        line.push(place.as_os_str());
        let leash = Program {
            line,
            env: Vec::new(),
            directory: Some(&place),
            log: output,
            user: None,
            farewell: Farewell::Terminate,
            leftovers: Some(place.clone()),
            grace: STOPPED_WITHIN,
        }
        .start()
        .inspect_err(|_| drop(fs::remove_dir_all(&place)))?;
        let mut server = Self { leash, port };
        server.await_ready(&log)?;
        Ok(server)
    }

    /// Where to connect.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// The loopback port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    fn await_ready(&mut self, log: &Path) -> anyhow::Result<()> {
        let deadline = Instant::now() + READY_WITHIN;
        loop {
            // Read before asking whether it ended: the log goes with the server's directory.
            let said = tail::of(log);
            if let Some(status) = self.leash.ended()? {
                bail!(
                    "redis-server did not start ({status}); Debian's package is redis-server\n{said}"
                );
            }
            // Ours, and not whoever else took the port: that one would let our server end above.
            if said.contains("Ready to accept connections") && self.ping().is_ok() {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!("redis-server was not ready within {READY_WITHIN:?}\n{said}");
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn ping(&self) -> io::Result<()> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        stream.write_all(b"PING\r\n")?;
        let mut answer = [0u8; 5];
        stream.read_exact(&mut answer)?;
        if &answer == b"+PONG" {
            Ok(())
        } else {
            Err(io::ErrorKind::InvalidData.into())
        }
    }
}
