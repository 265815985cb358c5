//! A program on a leash: it ends when we let go, and also when we are killed.
//!
//! The parent-death signal of Linux would need less, but it fires when the *thread* that started
//! the program ends, and test threads end early. So a few lines of `sh` hold the reading end of a
//! pipe whose writing end is ours alone: however we end, the pipe closes and the program is told.

use std::{
    ffi::OsStr,
    fs::File,
    io::{self, BufRead, BufReader},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

const WATCHER: &str = include_str!("leash.sh");

/// How a program is asked to end.
#[derive(Clone, Copy, Debug)]
pub enum Farewell {
    /// SIGTERM: drain, then end.
    Terminate,
    /// SIGINT: what PostgreSQL calls a fast shutdown; clients are cut off, nothing is lost.
    Interrupt,
}

/// A program to put on a leash.
#[derive(Debug)]
pub struct Program<'a> {
    /// The executable and its arguments.
    pub line: Vec<&'a OsStr>,
    /// What is added to our own environment. `DATABASE_URL` is not handed on with the rest of it: it
    /// may hold a password, and only who needs the database is told.
    pub env: Vec<(&'a str, String)>,
    /// Where the program runs; ours when none.
    pub directory: Option<&'a Path>,
    /// Where its output goes, both streams.
    pub log: File,
    /// User and group to run as; needs root.
    pub user: Option<(u32, u32)>,
    /// How it is asked to end.
    pub farewell: Farewell,
    /// Removed with everything in it once the program has ended.
    pub leftovers: Option<PathBuf>,
    /// How long it may take to end before it is killed; whole seconds.
    pub grace: Duration,
}

/// A running program; dropping it ends the program and waits for that.
#[derive(Debug)]
pub struct Leash {
    watcher: Child,
    pid: u32,
    grace: Duration,
}

impl Program<'_> {
    /// Starts the program.
    ///
    /// # Errors
    /// When `sh` cannot be started. A program that is not there shows as status 127 of
    /// [`Leash::ended`], with the shell's words in the log.
    pub fn start(self) -> io::Result<Leash> {
        let farewell = match self.farewell {
            Farewell::Terminate => "TERM",
            Farewell::Interrupt => "INT",
        };
        let mut command = Command::new("/bin/sh");
        command
            .args([
                "-c",
                WATCHER,
                "leash",
                farewell,
                &self.grace.as_secs().to_string(),
            ])
            .arg(self.leftovers.as_deref().unwrap_or(Path::new("")))
            .args(&self.line)
            .env_remove("DATABASE_URL")
            .envs(self.env)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(self.log)
            // A group of its own: Ctrl-C in a terminal reaches us alone, and we stop the programs
            // in the right order.
            .process_group(0);
        if let Some(directory) = self.directory {
            command.current_dir(directory);
        }
        if let Some((user, group)) = self.user {
            command.uid(user).gid(group);
        }
        let mut watcher = command.spawn()?;
        let mut line = String::new();
        if let Some(said) = watcher.stdout.take() {
            BufReader::new(said).read_line(&mut line)?;
        }
        let pid = line
            .trim()
            .parse()
            .map_err(|_| io::Error::other("the watcher ended before it named its program"))?;
        Ok(Leash {
            watcher,
            pid,
            grace: self.grace,
        })
    }
}

impl Leash {
    /// The program's process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Tells whether the program has ended, and how; 128 + n stands for signal n.
    ///
    /// # Errors
    /// When the system refuses to say.
    pub fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        self.watcher.try_wait()
    }

    /// Lets go without waiting: the program begins to end.
    pub fn let_go(&mut self) {
        drop(self.watcher.stdin.take());
    }

    /// Lets go and waits until the program has ended; past its grace it is killed.
    ///
    /// # Errors
    /// When the program had to be killed, or cannot be waited for.
    pub fn end(&mut self) -> io::Result<ExitStatus> {
        self.let_go();
        let deadline = Instant::now() + self.grace;
        while Instant::now() < deadline {
            if let Some(status) = self.watcher.try_wait()? {
                return Ok(status);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        self.kill();
        self.watcher.wait()?;
        Err(io::Error::new(
            io::ErrorKind::TimedOut,
            format!(
                "process {} did not end within {:?} and was killed",
                self.pid, self.grace
            ),
        ))
    }

    /// Kills the program as a crash would. The watcher sees it and ends too.
    pub fn kill(&self) {
        // It may have ended by itself meanwhile, which is what was wanted.
        let _ = i32::try_from(self.pid).map(|pid| kill(Pid::from_raw(pid), Signal::SIGKILL));
    }
}

impl Drop for Leash {
    fn drop(&mut self) {
        // `end` is called where its failure matters; here nobody is left to tell.
        let _ = self.end();
    }
}
