//! Private PostgreSQL clusters from the system's binaries: one that is kept, or one to throw away.
//!
//! They listen on a Unix socket alone, in a directory that nobody else may enter, so no other user
//! of the machine reaches them and no port is taken. Debian's own cluster on 5432 is left alone.

mod binaries;
mod home;

use std::{
    ffi::{OsStr, OsString},
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};

use crate::{
    leash::{Farewell, Leash, Program},
    tail,
};
use binaries::Binaries;
use home::Home;

const READY_WITHIN: Duration = Duration::from_secs(60);
const STOPPED_WITHIN: Duration = Duration::from_secs(30);
const ROLE: &str = "vorota";
const DATABASE: &str = "vorota";

/// A running cluster with a superuser and a database, both called `vorota`. Dropping it stops it;
/// so does the end of this process, however it comes.
#[derive(Debug)]
pub struct Cluster {
    leash: Leash,
    sockets: PathBuf,
    data: PathBuf,
    /// Held while the cluster is ours: two processes must not start it twice.
    _lock: Option<File>,
}

impl Cluster {
    /// Starts a cluster in a new private directory; both are gone when it is dropped. It trades
    /// durability for speed, which only tests want.
    ///
    /// # Errors
    /// When PostgreSQL is not installed or does not start; the message carries the end of its log.
    pub fn temporary() -> anyhow::Result<Self> {
        let home = Home::temporary()?;
        home.tidied_on_error(|| {
            let binaries = Binaries::newest()?;
            let data = home.path.join("data");
            create(&binaries, &home, &data)?;
            let careless = [
                "fsync=off",
                "synchronous_commit=off",
                "full_page_writes=off",
            ];
            start(
                &binaries,
                &home,
                &data,
                &home.path.join("postgres.log"),
                &careless,
                None,
            )
        })
    }

    /// Starts the cluster kept under `directory`, which is made when it is not there, and appends
    /// to `log`. A server that an earlier run left behind there is stopped first.
    ///
    /// # Errors
    /// When another process runs this cluster, or PostgreSQL is not installed (in the major version
    /// that made the data) or does not start; the message carries the end of its log.
    pub fn open(directory: &Path, log: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(directory).with_context(|| format!("make {}", directory.display()))?;
        let lock = File::create(directory.join("lock")).context("make the cluster's lock file")?;
        ensure!(
            lock.try_lock().is_ok(),
            "another process runs the PostgreSQL cluster in {}",
            directory.display()
        );
        let home = Home::kept(directory)?;
        home.tidied_on_error(|| {
            let data = home.path.join("data");
            let binaries = match fs::read_to_string(data.join("PG_VERSION")) {
                Ok(major) => Binaries::of(major.trim())?,
                Err(_) => Binaries::newest()?,
            };
            if !data.exists() {
                create_whole(&binaries, &home, &data)?;
            }
            home::stop_orphan(&data)?;
            start(&binaries, &home, &data, log, &[], Some(lock))
        })
    }

    /// Removes a cluster that is kept under `directory` and does not run, wherever its data lie.
    ///
    /// # Errors
    /// When something of it cannot be removed.
    pub fn remove(directory: &Path) -> std::io::Result<()> {
        if let Some(elsewhere) = home::elsewhere_noted(directory) {
            fs::remove_dir_all(elsewhere)?;
        }
        fs::remove_dir_all(directory)
    }

    /// Where to connect, in the form sqlx and libpq both read.
    #[must_use]
    pub fn url(&self) -> String {
        self.url_of(DATABASE)
    }

    /// The address of another database of this cluster. `name` is used as it is, so it must be a
    /// plain identifier.
    #[must_use]
    pub fn url_of(&self, name: &str) -> String {
        let host = self
            .sockets
            .to_string_lossy()
            .replace('%', "%25")
            .replace('/', "%2F");
        // The port only names the socket's file; said aloud, lest PGPORT of the caller be taken.
        format!("postgres://{ROLE}@{host}:5432/{name}")
    }

    /// Where the data lie.
    #[must_use]
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// The server's process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.leash.pid()
    }

    /// Tells whether the server has ended by itself.
    ///
    /// # Errors
    /// When the system refuses to say.
    pub fn ended(&mut self) -> std::io::Result<Option<ExitStatus>> {
        self.leash.ended()
    }

    /// Stops the server and waits for it.
    ///
    /// # Errors
    /// When it had to be killed.
    pub fn stop(mut self) -> std::io::Result<()> {
        self.leash.end()?;
        Ok(())
    }
}

/// Makes a cluster beside its place and then renames it: a start that was cut off leaves no half.
fn create_whole(binaries: &Binaries, home: &Home, data: &Path) -> anyhow::Result<()> {
    let unfinished = data.with_extension("unfinished");
    if unfinished.exists() {
        fs::remove_dir_all(&unfinished).context("remove a half-made cluster")?;
    }
    create(binaries, home, &unfinished)?;
    fs::rename(&unfinished, data).context("put the new cluster in its place")
}

/// Makes a cluster with our role and database in `data`.
fn create(binaries: &Binaries, home: &Home, data: &Path) -> anyhow::Result<()> {
    let initdb = binaries.tool("initdb");
    let mut command = home.command(&initdb);
    command
        .arg("-D")
        .arg(data)
        .args(["-U", ROLE, "--encoding=UTF8", "--locale=C.UTF-8"]);
    // Whoever reaches the socket's directory is us; there is no other way in.
    command.args(["--auth-local=trust", "--auth-host=reject", "--no-sync"]);
    finish(command, "make a PostgreSQL cluster", "")?;

    let postgres = binaries.tool("postgres");
    let mut command = home.command(&postgres);
    command.arg("--single").arg("-D").arg(data).arg("postgres");
    finish(
        command,
        "make the cluster's database",
        &format!("create database {DATABASE}\n"),
    )
}

fn finish(mut command: Command, what: &str, input: &str) -> anyhow::Result<()> {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command
        .spawn()
        .with_context(|| format!("{what}: start {command:?}"))?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin
            .write_all(input.as_bytes())
            .with_context(|| what.to_owned())?;
    }
    let output = child.wait_with_output()?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{what}: {}\n{}", output.status, said.trim());
    }
    Ok(())
}

fn start(
    binaries: &Binaries,
    home: &Home,
    data: &Path,
    log: &Path,
    settings: &[&str],
    lock: Option<File>,
) -> anyhow::Result<Cluster> {
    let mut option = OsString::from("unix_socket_directories=");
    option.push(&home.sockets);
    let fixed = [
        "listen_addresses=",
        "port=5432",
        "unix_socket_permissions=0700",
        "max_connections=200",
        "cluster_name=vorota",
        "timezone=UTC",
        "log_timezone=UTC",
        // Statements here are short; compiling them costs more than it saves.
        "jit=off",
        // Its own log file, rotated by nobody, is what a person looks into.
        "logging_collector=off",
        "log_destination=stderr",
    ];
    let postgres = binaries.tool("postgres");
    let mut line: Vec<&OsStr> = vec![postgres.as_os_str(), OsStr::new("-D"), data.as_os_str()];
    for setting in fixed
        .iter()
        .chain(settings)
        .map(OsStr::new)
        .chain([option.as_os_str()])
    {
        line.extend([OsStr::new("-c"), setting]);
    }
    let output = File::options().create(true).append(true).open(log)?;
    let leash = Program {
        line,
        env: Vec::new(),
        // A directory the server's user may stand in, whatever ours is.
        directory: Some(&home.path),
        log: output,
        user: home.user,
        farewell: Farewell::Interrupt,
        leftovers: Some(home.sockets.clone()),
        grace: STOPPED_WITHIN,
    }
    .start()
    .context("start PostgreSQL")?;
    let mut cluster = Cluster {
        leash,
        sockets: home.sockets.clone(),
        data: data.to_path_buf(),
        _lock: lock,
    };
    cluster.await_ready(log)?;
    Ok(cluster)
}

impl Cluster {
    /// The server writes `ready` in the eighth line of postmaster.pid; pg_ctl waits for it too.
    fn await_ready(&mut self, log: &Path) -> anyhow::Result<()> {
        let deadline = Instant::now() + READY_WITHIN;
        let pid_file = self.data.join("postmaster.pid");
        loop {
            let state = fs::read_to_string(&pid_file).unwrap_or_default();
            if state
                .lines()
                .nth(7)
                .is_some_and(|line| line.trim() == "ready")
            {
                return Ok(());
            }
            // Read before asking whether it ended: a temporary cluster's log goes with it.
            let said = tail::of(log);
            if let Some(status) = self.leash.ended()? {
                bail!("PostgreSQL did not start ({status}):\n{said}");
            }
            if Instant::now() > deadline {
                bail!("PostgreSQL was not ready within {READY_WITHIN:?}:\n{said}");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // Whoever wants to know how it ended calls `stop`. The watcher tidies up, unless it was
        // killed itself.
        let _ = self.leash.end();
        let _ = fs::remove_dir_all(&self.sockets);
    }
}
