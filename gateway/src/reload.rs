//! Takes edits of the route table while the gateway runs: watch, load, swap. A refused table leaves
//! the old one serving, and says why.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use plugin_sdk::{Env, Registry};
use tokio::signal::unix::{SignalKind, signal};

use crate::finding::{Findings, Level};
use crate::plan::{self, Loaded, Refused};
use crate::run::Live;

/// Between two looks at the files. An edit is taken once two looks saw the same of it: within a
/// second, and never half-written.
const PAUSE: Duration = Duration::from_millis(200);

/// Looks at a route table, and at every file that it names. Contents are compared, not times: that
/// holds for editors that rename, for half-written files and for the links that Kubernetes swaps.
pub struct Watch {
    config: PathBuf,
    kinds: Registry,
    env: Env,
    files: Vec<PathBuf>,
    /// What was judged last, for good or ill.
    judged: String,
}

impl Watch {
    /// Watches on from a table that was taken.
    pub fn new(config: PathBuf, kinds: Registry, env: Env, loaded: &Loaded) -> Self {
        Self {
            config,
            kinds,
            env,
            files: loaded.files.clone(),
            judged: loaded.plan.version.clone(),
        }
    }

    /// Waits until an edit lies still.
    pub async fn changed(&self) {
        let mut before = self.judged.clone();
        loop {
            tokio::time::sleep(PAUSE).await;
            let now = self.look().await;
            if lies_still(&self.judged, &before, &now) {
                return;
            }
            before = now;
        }
    }

    /// Loads what lies there now.
    pub async fn load(&mut self) -> Result<Loaded, Refused> {
        let (config, kinds, env) = (self.config.clone(), self.kinds, self.env.clone());
        // Reads files and compiles: not on a worker that serves.
        let loading = tokio::task::spawn_blocking(move || plan::load(&config, kinds, &env));
        let result = loading.await.expect("loading a table does not panic");
        self.files = match &result {
            Ok(loaded) => loaded.files.clone(),
            Err(refused) => refused.files.clone(),
        };
        self.judged = match &result {
            Ok(loaded) => loaded.plan.version.clone(),
            Err(_) => self.look().await,
        };
        result
    }

    async fn look(&self) -> String {
        let files = self.files.clone();
        let looking = tokio::task::spawn_blocking(move || plan::version(&files));
        looking.await.expect("looking at files does not panic")
    }
}

/// Whether there is an edit that two looks saw alike.
fn lies_still(judged: &str, before: &str, now: &str) -> bool {
    now != judged && now == before
}

/// Gives every good edit to the running edge, for ever. SIGHUP loads the table at once.
pub async fn follow(mut watch: Watch, live: Arc<Live>) -> std::io::Result<()> {
    let mut hangup = signal(SignalKind::hangup())?;
    loop {
        tokio::select! {
            () = watch.changed() => {}
            _ = hangup.recv() => {}
        }
        match watch.load().await {
            Ok(loaded) => take(loaded, &live).await,
            Err(refused) => {
                report(&refused.findings);
                live.metrics().config_rejected();
                tracing::error!("the route table is refused: the old one serves on");
            }
        }
    }
}

async fn take(loaded: Loaded, live: &Live) {
    report(&loaded.warnings);
    let version = loaded.plan.version.clone();
    match live.take(Arc::new(loaded.plan)).await {
        Ok(()) => tracing::info!(version, "the route table is taken"),
        Err(error) => {
            live.metrics().config_rejected();
            let error = format!("{:#}", anyhow::Error::new(error));
            tracing::error!(version, error, "the route table can't be served");
        }
    }
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
