//! Where a cluster lives and as whom it runs: PostgreSQL refuses to run as root.

use std::{
    fs::{self, Permissions},
    os::unix::{
        fs::{PermissionsExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use nix::{
    sys::signal::{Signal, kill},
    unistd::{Pid, Uid, User},
};

use crate::room;

/// Where the data of root's clusters go when the server's user cannot reach the clone.
const ELSEWHERE: &str = "/var/lib/vorota";
/// The file that says so where a person looks for the data.
const NOTE: &str = "is-kept-in";
/// The directory every user of a Unix may enter; `TMPDIR` may be root's alone.
const SHARED: &str = "/tmp";
const ORPHAN_STOPS_WITHIN: Duration = Duration::from_secs(30);

/// A directory of the server's user.
#[derive(Debug)]
pub(super) struct Home {
    pub(super) path: PathBuf,
    /// Where the sockets are, removed when the server ends: all of it for a temporary cluster.
    pub(super) sockets: PathBuf,
    /// User and group of the server; none: as we are.
    pub(super) user: Option<(u32, u32)>,
}

impl Home {
    pub(super) fn temporary() -> anyhow::Result<Self> {
        let user = server_user()?;
        let path = private(user)?;
        Ok(Self {
            sockets: path.clone(),
            path,
            user,
        })
    }

    /// The directory itself where the server's user reaches it, else one that stands for it.
    pub(super) fn kept(directory: &Path) -> anyhow::Result<Self> {
        let directory = directory.canonicalize()?;
        let user = server_user()?;
        let reached = reaches(user, &directory)?;
        let path = if reached {
            directory.join("cluster")
        } else {
            passable(Path::new(ELSEWHERE))?;
            elsewhere(&directory)
        };
        fs::create_dir_all(&path).with_context(|| format!("make {}", path.display()))?;
        give(&path, user)?;
        if !reached {
            fs::write(directory.join(NOTE), format!("{}\n", path.display()))?;
        }
        // The cluster's own path may be too long for a socket.
        Ok(Self {
            sockets: private(user)?,
            path,
            user,
        })
    }

    /// Runs `work`; when it fails, what should not outlive it is removed.
    pub(super) fn tidied_on_error<T>(
        &self,
        work: impl FnOnce() -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        work().inspect_err(|_| {
            // The watcher may have removed it already, and the first error is the one to tell.
            let _ = fs::remove_dir_all(&self.sockets);
        })
    }

    /// A command as the server's user.
    pub(super) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.path);
        if let Some((user, group)) = self.user {
            command.uid(user).gid(group);
        }
        command
    }
}

/// A new directory that only the server's user (and root) may enter.
fn private(user: Option<(u32, u32)>) -> anyhow::Result<PathBuf> {
    let path = room::private(Path::new(SHARED)).context("make a directory in /tmp")?;
    give(&path, user)?;
    Ok(path)
}

/// Whether the server's user may stand in the directory.
fn reaches(user: Option<(u32, u32)>, directory: &Path) -> anyhow::Result<bool> {
    let Some((user, group)) = user else {
        return Ok(true);
    };
    let mut command = Command::new("/bin/sh");
    command
        .args(["-c", "cd \"$1\"", "reach"])
        .arg(directory)
        .uid(user)
        .gid(group);
    Ok(command
        .current_dir("/")
        .stderr(Stdio::null())
        .status()?
        .success())
}

/// The user to run the server as: none when we are not root.
fn server_user() -> anyhow::Result<Option<(u32, u32)>> {
    if !Uid::effective().is_root() {
        return Ok(None);
    }
    let user = User::from_name("postgres")?
        .context("PostgreSQL does not run as root, and the user postgres is not there: install Debian's package postgresql")?;
    Ok(Some((user.uid.as_raw(), user.gid.as_raw())))
}

fn give(path: &Path, user: Option<(u32, u32)>) -> anyhow::Result<()> {
    if let Some((user, group)) = user {
        chown(path, Some(user), Some(group))
            .with_context(|| format!("give {} to the server's user", path.display()))?;
    }
    Ok(())
}

/// Makes a directory that everybody may pass through, whatever root's umask is, and only we may list.
fn passable(directory: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(directory)
        .and_then(|()| fs::set_permissions(directory, Permissions::from_mode(0o711)))
        .with_context(|| format!("make {}", directory.display()))
}

/// One place per clone, named so that a person recognises it.
fn elsewhere(directory: &Path) -> PathBuf {
    let name = directory
        .to_string_lossy()
        .replace('+', "++")
        .replace('/', "+");
    Path::new(ELSEWHERE).join(name.trim_start_matches('+'))
}

/// The place elsewhere that stands for the directory.
pub(super) fn elsewhere_noted(directory: &Path) -> Option<PathBuf> {
    let note = fs::read_to_string(directory.join(NOTE)).ok()?;
    Some(PathBuf::from(note.trim_end_matches('\n')))
}

/// Stops a server that outlived its watcher, and clears the file that a killed server left: its
/// number may belong to another process by now, which PostgreSQL would take for a running server.
pub(super) fn stop_orphan(data: &Path) -> anyhow::Result<()> {
    let pid_file = data.join("postmaster.pid");
    let Ok(text) = fs::read_to_string(&pid_file) else {
        return Ok(());
    };
    let pid: Option<i32> = text
        .lines()
        .next()
        .and_then(|line| line.trim().parse().ok());
    let Some(pid) = pid.filter(|pid| serves(*pid, data)) else {
        return fs::remove_file(&pid_file).context("remove a dead server's postmaster.pid");
    };
    // A server that is already stopping takes the signal as a reminder.
    let _ = kill(Pid::from_raw(pid), Signal::SIGINT);
    let deadline = Instant::now() + ORPHAN_STOPS_WITHIN;
    while serves(pid, data) {
        if Instant::now() > deadline {
            bail!(
                "process {pid}, left behind by an earlier run, still serves {}",
                data.display()
            );
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// A server stands in its data directory for as long as it lives.
fn serves(pid: i32, data: &Path) -> bool {
    fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|place| place == data)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_elsewhere_tells_whose_it_is() {
        let place = elsewhere(Path::new("/root/vorota/var/postgres"));
        assert_eq!(place, Path::new("/var/lib/vorota/root+vorota+var+postgres"));
    }

    #[test]
    fn the_way_to_a_place_elsewhere_stays_open_under_any_umask() {
        let room = room::private(&std::env::temp_dir()).expect("a directory");
        let closed = room.join("elsewhere");
        fs::create_dir(&closed).expect("made");
        fs::set_permissions(&closed, Permissions::from_mode(0o700)).expect("closed");
        passable(&closed).expect("opened");
        let mode = fs::metadata(&closed).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o711);
        fs::remove_dir_all(room).expect("removed");
    }
}
