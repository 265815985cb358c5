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
        let outcome = match tokio::spawn((job.run)()).await {
            Ok(outcome) => outcome,
            Err(error) => Err(anyhow::Error::new(error)),
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
