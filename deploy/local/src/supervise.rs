//! Brings a program back when it ends although nobody asked it to.

use std::{
    ffi::OsStr,
    fs::File,
    io,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
        mpsc::{self, Receiver, RecvTimeoutError},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use crate::{
    leash::{Farewell, Leash, Program},
    tail,
};

const WATCHED_EVERY: Duration = Duration::from_millis(50);
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// Who ran this long before it ended did not fail at starting.
const SETTLED: Duration = Duration::from_secs(30);
/// After this many ends in a row it is no accident any more.
const LOOP: u32 = 4;

/// One of our binaries, as often as it has to be started.
#[derive(Debug)]
pub(crate) struct Recipe {
    /// What people call it.
    pub(crate) name: &'static str,
    pub(crate) binary: PathBuf,
    pub(crate) arguments: Vec<String>,
    pub(crate) directory: PathBuf,
    pub(crate) env: Vec<(&'static str, String)>,
    pub(crate) log: PathBuf,
    pub(crate) grace: Duration,
}

impl Recipe {
    pub(crate) fn start(&self) -> io::Result<Leash> {
        let arguments = self.arguments.iter().map(OsStr::new);
        Program {
            line: std::iter::once(self.binary.as_os_str())
                .chain(arguments)
                .collect(),
            env: self.env.clone(),
            directory: Some(&self.directory),
            log: File::options().create(true).append(true).open(&self.log)?,
            user: None,
            farewell: Farewell::Terminate,
            leftovers: None,
            grace: self.grace,
        }
        .start()
    }
}

/// A program that comes back. Dropping it ends the program and waits for that.
#[derive(Debug)]
pub(crate) struct Supervised {
    /// Closed when the program shall end.
    stop: Option<mpsc::SyncSender<()>>,
    pid: Arc<AtomicU32>,
    watcher: Option<JoinHandle<()>>,
}

impl Supervised {
    /// Takes over a program that `recipe` has started.
    pub(crate) fn watch(recipe: Recipe, leash: Leash) -> Self {
        let (stop, stopped) = mpsc::sync_channel(1);
        let pid = Arc::new(AtomicU32::new(leash.pid()));
        let shown = Arc::clone(&pid);
        let watcher = std::thread::spawn(move || keep_up(&recipe, leash, &stopped, &shown));
        Self {
            stop: Some(stop),
            pid,
            watcher: Some(watcher),
        }
    }

    /// The process id of the program that runs now, or ran last.
    pub(crate) fn pid(&self) -> u32 {
        self.pid.load(Ordering::Relaxed)
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(watcher) = self.watcher.take() {
            // It does not panic; and if it did, its leash is dropped, which is what is wanted.
            let _ = watcher.join();
        }
    }
}

fn keep_up(recipe: &Recipe, first: Leash, stopped: &Receiver<()>, pid: &AtomicU32) {
    let name = recipe.name;
    let mut running = Some(first);
    let mut since = Instant::now();
    let mut ends = 0;
    loop {
        let ended = match &mut running {
            None => None,
            Some(leash) => match leash.ended() {
                Ok(None) => {
                    if asked_to_stop(stopped, WATCHED_EVERY) {
                        if let Err(error) = leash.end() {
                            eprintln!("{name}: {error}");
                        }
                        return;
                    }
                    continue;
                }
                Ok(Some(status)) => Some(status.to_string()),
                Err(error) => Some(error.to_string()),
            },
        };
        if since.elapsed() > SETTLED {
            ends = 0;
        }
        ends += 1;
        let pause = pause_after(ends);
        if let Some(how) = ended {
            eprintln!("{name} ended ({how}); it comes back in {pause:?}");
        }
        if ends == LOOP {
            let log = recipe.log.display();
            eprintln!(
                "{name} keeps ending; the end of {log}:\n{}",
                tail::of(&recipe.log)
            );
        }
        if asked_to_stop(stopped, pause) {
            return;
        }
        since = Instant::now();
        running = recipe
            .start()
            .inspect_err(|error| eprintln!("{name} does not start: {error}"))
            .ok();
        if let Some(leash) = &running {
            pid.store(leash.pid(), Ordering::Relaxed);
        }
    }
}

fn pause_after(ends: u32) -> Duration {
    FIRST_PAUSE
        .saturating_mul(2_u32.saturating_pow(ends - 1))
        .min(LONGEST_PAUSE)
}

/// Waits, but not when there is no use in waiting any longer.
fn asked_to_stop(stopped: &Receiver<()>, wait: Duration) -> bool {
    stopped.recv_timeout(wait) == Err(RecvTimeoutError::Disconnected)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::room;

    #[test]
    fn pauses_grow_up_to_a_limit() {
        assert_eq!(pause_after(1), Duration::from_millis(100));
        assert_eq!(pause_after(3), Duration::from_millis(400));
        assert_eq!(pause_after(400), LONGEST_PAUSE);
    }

    #[test]
    fn a_killed_program_comes_back_and_a_stopped_one_does_not() {
        let room = room::private(&std::env::temp_dir()).expect("a directory");
        let recipe = Recipe {
            name: "a sleeper",
            binary: PathBuf::from("/bin/sleep"),
            arguments: vec!["600".to_owned()],
            directory: room.clone(),
            env: Vec::new(),
            log: room.join("sleep.log"),
            grace: Duration::from_secs(5),
        };
        let leash = recipe.start().expect("it starts");
        let first = leash.pid();
        leash.kill();
        let supervised = Supervised::watch(recipe, leash);
        let deadline = Instant::now() + Duration::from_secs(10);
        while supervised.pid() == first {
            assert!(Instant::now() < deadline, "it does not come back");
            std::thread::sleep(Duration::from_millis(10));
        }
        let second = PathBuf::from(format!("/proc/{}", supervised.pid()));
        assert!(second.exists());
        drop(supervised);
        assert!(!second.exists());
        fs::remove_dir_all(room).expect("removed");
    }
}
