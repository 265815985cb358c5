//! A client that keeps calling while something happens, and notices every call that goes wrong.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::task::JoinHandle;

use crate::client::Client;

/// Slow enough for the limit of a user, fifty a second.
const PAUSE: Duration = Duration::from_millis(25);

pub(crate) struct Bystander {
    calls: Arc<AtomicU64>,
    enough: Arc<AtomicBool>,
    task: JoinHandle<Vec<String>>,
}

impl Bystander {
    /// Calls `path` again and again; every answer but 200 is a failure.
    pub(crate) fn start(client: Client, path: &'static str) -> Self {
        let calls = Arc::new(AtomicU64::new(0));
        let enough = Arc::new(AtomicBool::new(false));
        let (counted, stop) = (Arc::clone(&calls), Arc::clone(&enough));
        let task = tokio::spawn(async move {
            let mut failures = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                match client
                    .try_send(client.request(reqwest::Method::GET, path))
                    .await
                {
                    Ok(answer) if answer.status == 200 => {}
                    Ok(answer) => failures.push(format!("{answer:?}")),
                    Err(error) => failures.push(format!("{error:?}")),
                }
                counted.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(PAUSE).await;
            }
            failures
        });
        Self {
            calls,
            enough,
            task,
        }
    }

    pub(crate) fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    /// Ends the calls; the test ends with them if one went wrong.
    pub(crate) async fn finish(self) {
        self.enough.store(true, Ordering::Relaxed);
        let failures = self.task.await.expect("the bystander does not panic");
        assert!(
            failures.is_empty(),
            "{} calls went wrong, the first: {}",
            failures.len(),
            failures[0]
        );
    }
}
