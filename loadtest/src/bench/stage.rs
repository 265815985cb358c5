//! Who is measured, and what stands behind them: an origin on the load's processor, nginx and the
//! gateway on the other.

use std::{
    ffi::OsStr,
    fs::{self, File, Permissions},
    net::TcpStream,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use local::{
    leash::{Farewell, Leash, Program},
    redis::Server,
    room,
};

use crate::bench::{pki, token::Issuer};

const READY_WITHIN: Duration = Duration::from_secs(20);

/// So many users that no token is the last one again.
const USERS: u32 = 1_000;

pub(crate) struct Ports {
    pub(crate) gateway_plain: u16,
    pub(crate) gateway_tls: u16,
    pub(crate) gateway_management: u16,
    pub(crate) nginx_plain: u16,
    pub(crate) nginx_tls: u16,
    pub(crate) origin: u16,
}

/// Everybody, started. Dropped, it ends them and takes its files along.
pub(crate) struct Stage {
    pub(crate) gateway: Leash,
    pub(crate) nginx: Leash,
    _origin: Leash,
    _redis: Server,
    pub(crate) ports: Ports,
    pub(crate) issuer: Issuer,
    /// A token a line.
    pub(crate) tokens: PathBuf,
    /// What has wrk send them.
    pub(crate) script: PathBuf,
    pub(crate) room: Room,
}

/// A directory that goes when it is dropped.
pub(crate) struct Room(pub(crate) PathBuf);

impl Drop for Room {
    fn drop(&mut self) {
        // It lies in the system's directory for such: what stays there does no harm.
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Stage {
    pub(crate) fn open() -> anyhow::Result<Self> {
        let room = Room(room::private(&std::env::temp_dir())?);
        let [
            gateway_plain,
            gateway_tls,
            gateway_management,
            nginx_plain,
            nginx_tls,
            origin,
        ] = room::free_ports()?;
        let ports = Ports {
            gateway_plain,
            gateway_tls,
            gateway_management,
            nginx_plain,
            nginx_tls,
            origin,
        };
        let issuer = Issuer::new(1);
        let tokens: String = (0..USERS).map(|user| issuer.token(user) + "\n").collect();
        let gateway = gateway_binary()?;

        let write = |name: &str, text: &str| {
            let path = room.0.join(name);
            fs::write(&path, text)
                .with_context(|| format!("write {}", path.display()))
                .map(|()| path)
        };
        pki::write(&room.0)?;
        write("jwks.json", &issuer.jwks())?;
        write("openapi.json", include_str!("openapi.json"))?;
        let redis = Server::start()?;
        let key = write("identity.key", &(room::random_hex::<32>()? + "\n"))?;
        fs::set_permissions(key, Permissions::from_mode(0o600))?;
        let tokens = write("tokens", &tokens)?;
        let script = write("tokens.lua", include_str!("tokens.lua"))?;
        let routes = write(
            "routes.yaml",
            &filled(include_str!("routes.yaml"), &ports, &room.0),
        )?;
        let nginx = write(
            "nginx.conf",
            &filled(include_str!("nginx.conf"), &ports, &room.0),
        )?;
        let origin = write(
            "origin.conf",
            &filled(include_str!("origin.conf"), &ports, &room.0),
        )?;

        let nginx_line = |conf| {
            [
                OsStr::new("nginx"),
                OsStr::new("-c"),
                conf,
                OsStr::new("-e"),
                OsStr::new("stderr"),
            ]
        };
        let origin = start(
            &room.0,
            "origin.log",
            "1",
            &nginx_line(origin.as_os_str()),
            Vec::new(),
        )?;
        let nginx = start(
            &room.0,
            "nginx.log",
            "0",
            &nginx_line(nginx.as_os_str()),
            Vec::new(),
        )?;
        let line = [
            gateway.as_os_str(),
            OsStr::new("run"),
            OsStr::new("--config"),
            routes.as_os_str(),
        ];
        let env = vec![("BENCH_REDIS", redis.url())];
        let gateway = start(&room.0, "gateway.log", "0", &line, env)?;
        let mut stage = Self {
            gateway,
            nginx,
            _origin: origin,
            _redis: redis,
            ports,
            issuer,
            tokens,
            script,
            room,
        };
        stage.await_ready()?;
        Ok(stage)
    }

    /// What a contender has written down so far.
    pub(crate) fn log(&self, name: &str) -> String {
        fs::read_to_string(self.room.0.join(name)).unwrap_or_default()
    }

    fn await_ready(&mut self) -> anyhow::Result<()> {
        let Ports {
            gateway_plain,
            gateway_tls,
            nginx_plain,
            nginx_tls,
            origin,
            ..
        } = self.ports;
        let deadline = Instant::now() + READY_WITHIN;
        for (port, log) in [
            (origin, "origin.log"),
            (nginx_plain, "nginx.log"),
            (nginx_tls, "nginx.log"),
            (gateway_plain, "gateway.log"),
            (gateway_tls, "gateway.log"),
        ] {
            while TcpStream::connect(("127.0.0.1", port)).is_err() {
                if Instant::now() > deadline {
                    bail!(
                        "nobody listens on port {port}; {log} says:\n{}",
                        self.log(log)
                    );
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        Ok(())
    }
}

/// The gateway that was built with us.
pub(crate) fn gateway_binary() -> anyhow::Result<PathBuf> {
    let path = std::env::current_exe()?.with_file_name("gateway");
    if !path.exists() {
        bail!("{} is not built: `make bench` does it", path.display());
    }
    Ok(path)
}

fn filled(template: &str, ports: &Ports, room: &Path) -> String {
    let mut text = template.replace("{room}", &room.to_string_lossy());
    for (name, port) in [
        ("{gateway_plain}", ports.gateway_plain),
        ("{gateway_tls}", ports.gateway_tls),
        ("{gateway_management}", ports.gateway_management),
        ("{nginx_plain}", ports.nginx_plain),
        ("{nginx_tls}", ports.nginx_tls),
        ("{origin}", ports.origin),
    ] {
        text = text.replace(name, &port.to_string());
    }
    text
}

fn start(
    room: &Path,
    log: &str,
    processor: &str,
    line: &[&OsStr],
    env: Vec<(&str, String)>,
) -> anyhow::Result<Leash> {
    let pinned = ["taskset", "-c", processor].map(OsStr::new);
    let program = Program {
        line: [&pinned, line].concat(),
        env,
        directory: Some(room),
        log: File::create(room.join(log))?,
        user: None,
        farewell: Farewell::Terminate,
        leftovers: None,
        grace: Duration::from_secs(10),
    };
    program.start().with_context(|| format!("start {line:?}"))
}
