//! A Redis, three gateways and an origin.

use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use local::leash::{Farewell, Leash, Program};
use local::redis::Server;
use local::room;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::bench::{Room, gateway_binary};

const READY_WITHIN: Duration = Duration::from_secs(20);

pub(super) struct Stage {
    redis: Option<Server>,
    redis_port: u16,
    ports: [u16; 3],
    gateways: Vec<Leash>,
    room: Room,
}

impl Stage {
    pub(super) async fn open() -> anyhow::Result<Self> {
        let room = Room(room::private(&std::env::temp_dir())?);
        let redis = Server::start()?;
        let origin = origin().await?;
        let key = room.0.join("identity.key");
        fs::write(&key, room::random_hex::<32>()? + "\n")?;
        fs::set_permissions(&key, Permissions::from_mode(0o600))?;
        let free: [u16; 6] = room::free_ports()?;
        let [a, b, c, inner @ ..] = free;
        let mut stage = Self {
            redis_port: redis.port(),
            redis: Some(redis),
            ports: [a, b, c],
            gateways: Vec::new(),
            room,
        };
        let binary = gateway_binary()?;
        for (index, (port, inner)) in [a, b, c].into_iter().zip(inner).enumerate() {
            let table = include_str!("routes.yaml")
                .replace("{room}", &stage.room.0.to_string_lossy())
                .replace("{port}", &port.to_string())
                .replace("{inner}", &inner.to_string())
                .replace("{origin}", &origin.to_string());
            let path = stage.room.0.join(format!("routes-{index}.yaml"));
            fs::write(&path, table)?;
            stage.gateways.push(start(
                &stage.room.0,
                &binary,
                &path,
                index,
                stage.redis_port,
            )?);
        }
        stage.await_ready().await?;
        Ok(stage)
    }

    pub(super) fn ports(&self) -> [u16; 3] {
        self.ports
    }

    pub(super) fn kill_redis(&mut self) {
        self.redis = None;
    }

    pub(super) fn start_redis(&mut self) -> anyhow::Result<()> {
        self.redis = Some(Server::start_on(self.redis_port)?);
        Ok(())
    }

    /// How often the limits have asked Redis.
    pub(super) async fn asked(&self) -> anyhow::Result<u64> {
        let mut redis = TcpStream::connect(("127.0.0.1", self.redis_port)).await?;
        redis.write_all(b"INFO commandstats\r\nQUIT\r\n").await?;
        let mut said = String::new();
        redis.read_to_string(&mut said).await?;
        let calls = said
            .lines()
            .find_map(|line| line.strip_prefix("cmdstat_evalsha:calls="))
            .and_then(|rest| rest.split(',').next())
            .unwrap_or("0");
        calls.parse().context("read what Redis counted")
    }

    async fn await_ready(&mut self) -> anyhow::Result<()> {
        let deadline = Instant::now() + READY_WITHIN;
        for (index, port) in self.ports.into_iter().enumerate() {
            while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
                if Instant::now() > deadline {
                    let log = self.room.0.join(format!("gateway-{index}.log"));
                    bail!(
                        "gateway {index} does not listen:\n{}",
                        fs::read_to_string(log).unwrap_or_default()
                    );
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        Ok(())
    }
}

fn start(
    room: &Path,
    binary: &Path,
    table: &Path,
    index: usize,
    redis: u16,
) -> anyhow::Result<Leash> {
    let line = [
        binary.as_os_str(),
        OsStr::new("run"),
        OsStr::new("--config"),
        table.as_os_str(),
    ];
    let program = Program {
        line: line.to_vec(),
        env: vec![("BENCH_REDIS", format!("redis://127.0.0.1:{redis}"))],
        directory: Some(room),
        log: File::create(room.join(format!("gateway-{index}.log")))?,
        user: None,
        farewell: Farewell::Terminate,
        leftovers: None,
        grace: Duration::from_secs(10),
    };
    program.start().context("start a gateway")
}

/// Says `ok` to whatever has no body.
async fn origin() -> anyhow::Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut read = Vec::with_capacity(4_096);
                while matches!(stream.read_buf(&mut read).await, Ok(1..)) {
                    while let Some(end) = find_end(&read) {
                        read.drain(..end);
                        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
                        if stream.write_all(answer).await.is_err() {
                            return;
                        }
                    }
                }
            });
        }
    });
    Ok(port)
}

fn find_end(read: &[u8]) -> Option<usize> {
    let end = read.windows(4).position(|four| four == b"\r\n\r\n")?;
    Some(end + 4)
}
