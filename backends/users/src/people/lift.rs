//! Lifting what was set until some time. The standing that counts is read by the clock wherever it is
//! asked for; this job writes down that it is over, and tells those who should know.

use std::{sync::Arc, time::Duration};

use events::Notice;
use host::Job;

use super::{moderate::announce, store};
use crate::{
    App,
    account::{self, Standing},
    audit::{Act, Entry},
    notice,
};

/// Accounts in one transaction.
const BATCH: i64 = 100;

/// Lifts what is over, every so often.
pub(crate) fn job(app: Arc<App>) -> Job {
    Job {
        name: "lift_standings",
        every: Duration::from_secs(1),
        limit: Duration::from_secs(60),
        run: Arc::new(move || {
            let app = app.clone();
            Box::pin(async move {
                while lift(&app).await? == BATCH as usize {}
                Ok(())
            })
        }),
    }
}

async fn lift(app: &App) -> Result<usize, sqlx::Error> {
    let now = app.clock.now();
    let mut tx = app.pool.begin().await?;
    let lifted = store::lift(&mut tx, now, BATCH).await?;
    for id in &lifted {
        let Some(account) = account::store::by_id(&mut *tx, *id).await? else {
            continue;
        };
        Entry::new(Act::StandingLifted, *id)
            .record(&mut tx, now)
            .await?;
        announce(&mut tx, &account, Standing::Active, None).await?;
        notice::tell(&mut tx, &account, Notice::Restored, None, now).await?;
    }
    tx.commit().await?;
    Ok(lifted.len())
}
