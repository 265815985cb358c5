//! Takes edits of the route table while the gateway runs: watch, load, swap. A refused table leaves
//! the old one serving, and says why.

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use plugin_sdk::{Env, Registry};
use tokio::signal::unix::{SignalKind, signal};

use crate::finding::{Finding, Findings, Level, Place};
use crate::plan::{self, Loaded, Plan, Refused};
use crate::run::Live;

/// Between two looks at the files. An edit is taken once two looks saw the same of it: within a
/// second, and not while it is written.
const PAUSE: Duration = Duration::from_millis(200);
/// What looks cut off may be all that will come, or a slow writer's half: it is judged once it has
/// not changed for so long.
const CUT: Duration = Duration::from_secs(5);
/// After how long a table that could not be served is tried again, at first and at most.
const AGAIN: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(30);

/// Looks at a route table, and at every file that it names. Contents are compared, not times: that
/// holds for editors that rename, for half-written files and for the links that Kubernetes swaps.
///
/// A writer that truncates the file and stalls may leave a table that is good and lacks its end. Two
/// things tell: a last line without its newline, and, where the table that is served ends with YAML's
/// own end mark `...`, an edit that does not.
pub struct Watch {
    config: PathBuf,
    kinds: Registry,
    env: Env,
    files: Vec<PathBuf>,
    /// Those of them that ended with the mark in the last good table.
    marked: Vec<PathBuf>,
    /// What was judged last, for good or ill.
    judged: String,
    /// What was seen last, and since when.
    seen: (String, Instant),
}

/// What lies there at one moment.
struct Look {
    version: String,
    cut: bool,
}

impl Watch {
    /// Watches on from a table that was taken.
    pub fn new(config: PathBuf, kinds: Registry, env: Env, loaded: &Loaded) -> Self {
        Self {
            config,
            kinds,
            env,
            marked: marked(&loaded.files),
            files: loaded.files.clone(),
            judged: loaded.plan.version.clone(),
            seen: (loaded.plan.version.clone(), Instant::now()),
        }
    }

    /// Waits until an edit lies still. May be dropped and called again: it goes on from there.
    pub async fn changed(&mut self) {
        loop {
            tokio::time::sleep(PAUSE).await;
            let now = self.look().await;
            if now.version != self.seen.0 {
                self.seen = (now.version, Instant::now());
            } else if lies_still(&self.judged, &now, self.seen.1.elapsed()) {
                return;
            }
        }
    }

    /// Loads what lies there now.
    pub async fn load(&mut self) -> Result<Loaded, Refused> {
        let (config, kinds, env) = (self.config.clone(), self.kinds, self.env.clone());
        let was_marked = self.marked.clone();
        // Reads files and compiles: not on a worker that serves.
        let loading = tokio::task::spawn_blocking(move || {
            let loaded = plan::load(&config, kinds, &env)?;
            let cut = was_marked.iter().filter(|file| is_cut(file, true));
            let cut: Vec<_> = cut.filter(|file| loaded.files.contains(file)).collect();
            match cut[..] {
                [] => Ok((marked(&loaded.files), loaded)),
                _ => Err(cut_off(&cut, loaded)),
            }
        });
        let result = loading.await.expect("loading a table does not panic");
        match result {
            Ok((marked, loaded)) => {
                self.marked = marked;
                self.files = loaded.files.clone();
                self.judged = loaded.plan.version.clone();
                Ok(loaded)
            }
            Err(refused) => {
                self.files = refused.files.clone();
                self.judged = self.look().await.version;
                Err(refused)
            }
        }
    }

    async fn look(&self) -> Look {
        let (files, marked) = (self.files.clone(), self.marked.clone());
        let looking = tokio::task::spawn_blocking(move || Look {
            version: plan::version(&files),
            cut: tables(&files).any(|file| is_cut(file, marked.contains(file))),
        });
        looking.await.expect("looking at files does not panic")
    }
}

/// Whether there is an edit that has not changed for long enough to be all of it.
fn lies_still(judged: &str, now: &Look, still: Duration) -> bool {
    let enough = if now.cut { CUT } else { PAUSE / 2 };
    now.version != judged && still >= enough
}

/// The files among those of a table that are YAML.
fn tables(files: &[PathBuf]) -> impl Iterator<Item = &PathBuf> {
    let yaml = |file: &&PathBuf| {
        let extension = file.extension().and_then(|extension| extension.to_str());
        matches!(extension, Some("yaml" | "yml")) && !plan::is_pattern(file)
    };
    files.iter().filter(yaml)
}

fn marked(files: &[PathBuf]) -> Vec<PathBuf> {
    let has_mark = |file: &&PathBuf| std::fs::read(file).is_ok_and(|text| ends_with_mark(&text));
    tables(files).filter(has_mark).cloned().collect()
}

/// Whether a file looks like the beginning of one.
fn is_cut(file: &Path, was_marked: bool) -> bool {
    // What can't be read is told when it is loaded.
    std::fs::read(file)
        .is_ok_and(|text| !text.ends_with(b"\n") || was_marked && !ends_with_mark(&text))
}

/// Whether the last line is YAML's mark of an end.
fn ends_with_mark(text: &[u8]) -> bool {
    let text = text.trim_ascii_end();
    text.strip_suffix(b"...")
        .is_some_and(|rest| rest.is_empty() || rest.ends_with(b"\n"))
}

fn cut_off(files: &[&PathBuf], loaded: Loaded) -> Refused {
    let mut findings = loaded.warnings;
    for file in files {
        let place = Place {
            file: file.as_path().into(),
            line: 1,
            column: 1,
        };
        let message = "the file ended with `...` and does not any more: it looks half-written";
        let finding = Finding::error("file.cut", place, message);
        findings.push(finding.hint("write `...` as its last line; a restart does not ask for it"));
    }
    Refused {
        findings,
        files: loaded.files,
    }
}

/// Gives every good edit to the running edge, for ever. SIGHUP loads the table at once. A table that
/// can't be served, since a port of its is taken say, is tried again until it can, or another comes.
pub async fn follow(mut watch: Watch, live: Arc<Live>) -> std::io::Result<()> {
    let mut hangup = signal(SignalKind::hangup())?;
    let mut waiting: Option<(Arc<Plan>, Duration)> = None;
    loop {
        let pause = waiting.as_ref().map(|(_, pause)| *pause);
        tokio::select! {
            () = watch.changed() => {}
            _ = hangup.recv() => {}
            () = after(pause) => {
                waiting = match waiting {
                    Some((plan, pause)) => again(plan, pause, &live).await,
                    None => None,
                };
                continue;
            }
        }
        waiting = match watch.load().await {
            Ok(loaded) => {
                report(&loaded.warnings);
                take(Arc::new(loaded.plan), &live).await
            }
            Err(refused) => {
                report(&refused.findings);
                live.metrics().config_rejected();
                tracing::error!("the route table is refused: the old one serves on");
                None
            }
        };
    }
}

async fn after(pause: Option<Duration>) {
    match pause {
        Some(pause) => tokio::time::sleep(pause).await,
        None => std::future::pending().await,
    }
}

/// Gives a table to the edge. What can't be served comes back, to be tried again.
async fn take(plan: Arc<Plan>, live: &Live) -> Option<(Arc<Plan>, Duration)> {
    let version = plan.version.clone();
    match live.take(plan.clone()).await {
        Ok(()) => {
            tracing::info!(version, "the route table is taken");
            None
        }
        Err(error) => {
            live.metrics().config_rejected();
            let error = format!("{:#}", anyhow::Error::new(error));
            tracing::error!(version, error, "the route table can't be served yet");
            Some((plan, *AGAIN.start()))
        }
    }
}

async fn again(plan: Arc<Plan>, pause: Duration, live: &Live) -> Option<(Arc<Plan>, Duration)> {
    let version = plan.version.clone();
    if let Err(error) = live.take(plan.clone()).await {
        let error = format!("{:#}", anyhow::Error::new(error));
        tracing::warn!(version, error, "the route table still can't be served");
        return Some((plan, (pause * 2).min(*AGAIN.end())));
    }
    tracing::info!(version, "the route table is taken, at last");
    None
}

/// Logs what was found.
pub fn report(findings: &Findings) {
    for finding in findings.iter() {
        let (code, place) = (&finding.code, &finding.place);
        let hint = finding.hint.as_deref().unwrap_or_default();
        match finding.level {
            Level::Error => tracing::error!(code, %place, hint, "{}", finding.message),
            Level::Warning => tracing::warn!(code, %place, hint, "{}", finding.message),
        }
    }
}

#[cfg(test)]
mod tests;
