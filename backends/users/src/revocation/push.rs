//! Telling gateways of revocations at once, see [`push`].

use anyhow::Context;
use host::{Clock, Job};
use sqlx::PgPool;
use tokio::sync::Mutex;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{BELL, store};
use crate::push::{self, ANSWER, News};

/// Rows in one message. A backlog of more is not pushed: who asks for it gets it sooner.
const MESSAGE: i64 = 200;

/// Pushes every revocation.
pub(crate) fn job(pool: &PgPool, redis: redis::Client, clock: Clock) -> Job {
    let pool = pool.clone();
    push::job(
        redis,
        Revocations {
            pool,
            clock,
            bell: Mutex::default(),
        },
    )
}

struct Revocations {
    pool: PgPool,
    clock: Clock,
    /// Rings for every revocation, of this replica or another; listened for until this is dropped.
    bell: Mutex<Option<(pg::Bell, DropGuard)>>,
}

impl News for Revocations {
    const JOB: &'static str = "revocation_push";
    const CHANNEL: &'static str = "vorota:revocations:users";
    const WHAT: &'static str = "revocations";

    async fn come(&self, _: Option<i64>) {
        let mut bell = self.bell.lock().await;
        let (bell, _) = bell.get_or_insert_with(|| {
            let stop = CancellationToken::new();
            let bell = pg::Bell::hang(&self.pool, BELL, stop.clone());
            (bell, stop.drop_guard())
        });
        bell.rung().await;
    }

    async fn message(&self, told: Option<i64>) -> anyhow::Result<(Vec<u8>, i64)> {
        let page = store::page(&self.pool, told, MESSAGE, self.clock.now());
        let mut page = pg::within(ANSWER, page)
            .await
            .context("reading what was revoked")?;
        if told.is_none() || page.next < page.head {
            // At the start, and far behind after an outage: gateways have asked for all that.
            (page.after, page.next) = (page.head, page.head);
            page.items.clear();
        }
        let message = serde_json::to_vec(&page).context("writing a message")?;
        Ok((message, page.next))
    }
}
