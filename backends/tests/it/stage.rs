//! A directory with a configuration and secrets, a database, and the program.

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

use host::testing::{Answer, Call};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use pg::testing::TestDatabase;

const KEY: &str = "0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a";

/// What one test has of its own; gone with it.
pub(crate) struct Stage {
    directory: PathBuf,
    pub(crate) database: TestDatabase,
    /// Where the apps answer, and where the private port is.
    pub(crate) apps: SocketAddr,
    pub(crate) private: SocketAddr,
}

impl Stage {
    pub(crate) async fn new() -> Self {
        let database = pg::testing::database(&[]).await;
        // Made by the system under a name that nobody has.
        let name = database.url.rsplit('/').next().expect("a database's name");
        let directory = std::env::temp_dir().join(name);
        std::fs::create_dir(&directory).expect("a directory of our own");
        std::fs::set_permissions(&directory, std::fs::Permissions::from_mode(0o700))
            .expect("it is ours");
        let stage = Self {
            directory,
            database,
            apps: free_port(),
            private: free_port(),
        };
        for (name, secret) in [
            ("identity.key", KEY),
            ("cursor.key", KEY),
            ("refresh.key", KEY),
        ] {
            stage.write(name, secret);
        }
        stage.write("backend.yaml", &stage.config());
        stage
    }

    pub(crate) fn config(&self) -> String {
        let Self { apps, private, .. } = self;
        format!(
            r#"private_bind: "{private}"
identity_keys: "$file:identity.key"
cursor_key: "$file:cursor.key"
apps:
  users:
    bind: "{apps}"
    database: "$env:DATABASE_URL"
    settings:
      issuer: "https://localhost:8443"
      audience: "api"
      refresh_key: "$file:refresh.key"
      base_url: "https://localhost:8443"
  transactions:
    bind: "{apps}"
    database: "$env:DATABASE_URL"
    settings: {{}}
"#
        )
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.directory.join(name), text).expect("a directory of our own");
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_backend"));
        command
            .args(arguments)
            .current_dir(&self.directory)
            .env("DATABASE_URL", &self.database.url)
            .env("RUST_LOG", "info")
            .stdin(Stdio::null());
        command
    }

    /// Runs a verb to its end.
    pub(crate) fn verb(&self, arguments: &[&str]) -> Output {
        let mut command = self.command(arguments);
        command
            .args(["--config", "backend.yaml"])
            .output()
            .expect("the program starts")
    }

    /// What `check` complains of.
    pub(crate) fn check(&self) -> String {
        String::from_utf8_lossy(&self.verb(&["check"]).stderr).into_owned()
    }

    /// Starts `run` and waits until it says that it is ready.
    pub(crate) fn run(&self, arguments: &[&str]) -> Process {
        let mut command = self.command(&[&["run"], arguments].concat());
        let mut child = command
            .args(["--config", "backend.yaml"])
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let log = BufReader::new(child.stderr.take().expect("piped"));
        let (sender, lines) = sync_channel(10_000);
        std::thread::spawn(move || {
            for line in log.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let mut process = Process {
            child,
            lines,
            log: Vec::new(),
        };
        process.wait_for("ready; the private port is open");
        process
    }

    /// A request to the apps, with no seal.
    pub(crate) async fn get(&self, path: &str) -> Answer {
        Call::new(self.apps, "GET", path).send().await
    }

    /// A request to the apps with the seal that the gateway would have made for `audience`.
    pub(crate) async fn sealed(&self, audience: &str, method: &str, path: &str) -> Answer {
        Call::new(self.apps, method, path)
            .header("x-identity", &seal(audience))
            .send()
            .await
    }

    /// A sign-in that asks the database and finds nobody.
    pub(crate) async fn login(&self) -> Answer {
        let body = serde_json::json!({ "email": "ann@example.com", "password": "not-ann's-own" });
        let seal = seal("users");
        let call = Call::new(self.apps, "POST", "/v1/auth/login").header("x-identity", &seal);
        call.json(&body).send().await
    }

    /// A request to the private port.
    pub(crate) async fn private(&self, path: &str) -> Answer {
        Call::new(self.private, "GET", path).send().await
    }
}

/// The seal of an anonymous request.
pub(crate) fn seal(audience: &str) -> String {
    let keys = identity::KeyRing::parse(KEY).expect("a key");
    let now = host::Clock::system().now().unix_timestamp();
    let statement = identity::Statement {
        who: None,
        client: None,
        aud: audience.to_owned(),
        route: "test".to_owned(),
        request_id: "0196".to_owned(),
        iat: now,
        exp: now + 30,
    };
    identity::seal(&keys, &statement)
}

impl Drop for Stage {
    fn drop(&mut self) {
        // Left behind at worst, in a temporary directory.
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// A port that was free a moment ago.
fn free_port() -> SocketAddr {
    let socket = TcpListener::bind("127.0.0.1:0").expect("a free port");
    socket.local_addr().expect("it is bound")
}

/// A running program; killed when a test gives up on it.
pub(crate) struct Process {
    child: Child,
    lines: Receiver<String>,
    log: Vec<String>,
}

impl Process {
    /// Reads the log up to a line that says `words`.
    pub(crate) fn wait_for(&mut self, words: &str) {
        let soon = Instant::now() + Duration::from_secs(30);
        loop {
            let left = soon.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => self.log.push(line),
                Err(_) => panic!("it never said {words:?}:\n{}", self.log.join("\n")),
            }
            if self.log.last().is_some_and(|line| line.contains(words)) {
                return;
            }
        }
    }

    /// All that it has said up to now.
    pub(crate) fn log(&mut self) -> &[String] {
        self.log.extend(self.lines.try_iter());
        &self.log
    }

    pub(crate) fn terminate(&self) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).expect("a pid"));
        kill(pid, Signal::SIGTERM).expect("it is there");
    }

    /// Waits for its end; tells the exit code.
    pub(crate) fn end(&mut self) -> Option<i32> {
        self.child.wait().expect("it was ours").code()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
