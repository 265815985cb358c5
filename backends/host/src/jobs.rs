//! What apps do every so often.

use tokio_util::sync::CancellationToken;

use crate::Job;
use crate::metrics::Metrics;

/// Runs a job at its times until told to stop; a run under way is finished first.
pub(crate) async fn repeat(app: &'static str, job: Job, metrics: Metrics, stop: CancellationToken) {
    let mut times = tokio::time::interval(job.every);
    times.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = times.tick() => {}
        }
        // On a task of its own, so that a panic ends this run and not the job.
        let run = tokio::spawn((job.run)());
        let abort = run.abort_handle();
        let outcome = match tokio::time::timeout(job.limit, run).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(error)) => Err(anyhow::Error::new(error)),
            Err(_) => {
                abort.abort();
                Err(anyhow::anyhow!("cut off after {} s", job.limit.as_secs()))
            }
        };
        metrics.job(app, job.name, outcome.is_ok());
        if let Err(error) = outcome {
            tracing::error!(
                app,
                job = job.name,
                error = format!("{error:#}"),
                "a job failed"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn a_job_goes_on_whatever_becomes_of_a_run_and_ends_when_told() {
        let runs = Arc::new(AtomicUsize::new(0));
        let count = runs.clone();
        let stop = CancellationToken::new();
        let end = stop.clone();
        let job = Job {
            name: "clumsy",
            every: Duration::from_millis(1),
            limit: Duration::from_millis(50),
            run: Arc::new(move || {
                let (run, end) = (count.fetch_add(1, Ordering::SeqCst), end.clone());
                Box::pin(async move {
                    match run {
                        0 => anyhow::bail!("not today"),
                        1 => panic!("dropped the tray"),
                        2 => std::future::pending().await,
                        _ => end.cancel(),
                    }
                    Ok(())
                })
            }),
        };
        let metrics = Metrics::new();
        repeat("hall", job, metrics.clone(), stop).await;
        assert!(runs.load(Ordering::SeqCst) >= 4);
        let text = metrics.text().expect("metrics are text");
        let failed = r#"backend_job_runs_total{app="hall",job="clumsy",outcome="failed"} 3"#;
        assert!(text.contains(failed), "{text}");
    }
}
