//! The books, proven every so often: gauges that must read 0, and an alarm in the log when not.

use std::sync::Arc;
use std::time::Duration;

use host::{Clock, Job};
use ledger::{Invariant, Proof};
use prometheus::{IntGauge, IntGaugeVec, Opts, Registry};
use sqlx::PgPool;
use time::OffsetDateTime;

/// How often. A proof reads the whole journal.
const EVERY: Duration = Duration::from_secs(10 * 60);

/// What the proof tells the metrics.
#[derive(Clone)]
struct Gauges {
    violations: IntGaugeVec,
    proven_at: IntGauge,
}

impl Gauges {
    fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let violations = IntGaugeVec::new(
            Opts::new(
                "ledger_violations",
                "How often an invariant of the books was found broken at the last proof; must read 0",
            ),
            &["invariant"],
        )?;
        let proven_at = IntGauge::new(
            "ledger_proof_timestamp_seconds",
            "When the last proof ended, in Unix seconds; 0 before the first",
        )?;
        registry.register(Box::new(violations.clone()))?;
        registry.register(Box::new(proven_at.clone()))?;
        Ok(Self {
            violations,
            proven_at,
        })
    }

    fn show(&self, proof: &Proof, now: OffsetDateTime) {
        for invariant in Invariant::ALL {
            self.violations
                .with_label_values(&[invariant.name()])
                .set(proof.violations(invariant));
        }
        self.proven_at.set(now.unix_timestamp());
    }
}

/// Proves the books and shows the result.
pub(crate) fn job(
    pool: PgPool,
    clock: Clock,
    registry: &Registry,
) -> Result<Job, prometheus::Error> {
    let gauges = Gauges::register(registry)?;
    Ok(Job {
        name: "ledger_proof",
        every: EVERY,
        limit: Duration::from_secs(3600),
        run: Arc::new(move || {
            let (pool, clock, gauges) = (pool.clone(), clock.clone(), gauges.clone());
            Box::pin(async move {
                let Some(proof) = ledger::reconcile(&pool).await? else {
                    // Another replica is at it, and shows the result.
                    return Ok(());
                };
                gauges.show(&proof, clock.now());
                if !proof.holds() {
                    tracing::error!(?proof, "the books are not in order: stop and look");
                }
                Ok(())
            })
        }),
    })
}
