//! Says what waits to be said: rows are claimed for a while, sent, and then told how it went.
//!
//! A process that dies in between leaves a claim that runs out, and another one sends again: at
//! least once, never none. That the mail is the same one is told by its Message-ID.

mod backoff;
pub(crate) mod store;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures::{StreamExt, stream};
use host::{Clock, Job};
use prometheus::{IntCounterVec, Opts, Registry};
use sqlx::PgPool;

use crate::{
    letter::Words,
    post::{CONNECTIONS, Post, PostError},
};
use store::Claimed;

/// A mail leaves about this long after its event at the latest.
const LOOKED_EVERY: Duration = Duration::from_millis(250);
/// How long a claim holds: longer than sending a whole batch may take.
const CLAIM: Duration = Duration::from_secs(90);
const BATCH: i64 = 8;
/// How long a run begins new batches: a long queue must not keep the process from stopping.
const RUN: Duration = Duration::from_secs(2);
/// Tries before a message is given up; with the pauses between them about half a day.
const MAX_ATTEMPTS: i32 = 20;

pub(crate) struct Sender {
    pool: PgPool,
    clock: Clock,
    post: Post,
    words: Words,
    outcomes: IntCounterVec,
}

/// How it went, as the metrics call it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Sent,
    Later,
    Dead,
}

impl Sender {
    pub(crate) fn new(
        pool: PgPool,
        clock: Clock,
        post: Post,
        words: Words,
        registry: &Registry,
    ) -> Result<Self, prometheus::Error> {
        let outcomes = IntCounterVec::new(
            Opts::new(
                "notifications_attempts_total",
                "Attempts to send a message, by how they went",
            ),
            &["outcome"],
        )?;
        registry.register(Box::new(outcomes.clone()))?;
        Ok(Self {
            pool,
            clock,
            post,
            words,
            outcomes,
        })
    }

    /// Sends what is due.
    async fn send_due(&self) -> anyhow::Result<()> {
        let given_up = store::give_up(&self.pool, self.clock.now(), MAX_ATTEMPTS).await?;
        if given_up > 0 {
            self.count(Outcome::Dead, given_up);
            tracing::warn!(
                messages = given_up,
                "messages were given up: expired, or tried too often"
            );
        }
        let began = Instant::now();
        while began.elapsed() < RUN {
            let now = self.clock.now();
            let batch = store::claim(&self.pool, now, now + CLAIM, MAX_ATTEMPTS, BATCH).await?;
            if batch.is_empty() {
                break;
            }
            let sending = stream::iter(batch).map(|message| self.send(message));
            let outcomes: Vec<_> = sending
                .buffer_unordered(CONNECTIONS as usize)
                .collect()
                .await;
            for outcome in outcomes {
                self.count(outcome?, 1);
            }
        }
        Ok(())
    }

    async fn send(&self, message: Claimed) -> Result<Outcome, sqlx::Error> {
        let Claimed {
            id,
            recipient,
            content,
            attempts,
        } = message;
        let taken = match serde_json::from_value(content) {
            Ok(content) => {
                let letter = self.words.letter(&content);
                self.post.send(id, &recipient, letter).await
            }
            // A newer version beside us can; the parser's words stay out, they may repeat a code.
            Err(_) => Err(PostError::Later("this version cannot read it".to_owned())),
        };
        match taken {
            Ok(()) => {
                store::sent(&self.pool, id, attempts, self.clock.now()).await?;
                Ok(Outcome::Sent)
            }
            Err(PostError::Later(why)) => {
                tracing::warn!(message_id = %id, attempts, why, "a message was not taken, it is sent again");
                let pause = backoff::pause(attempts, backoff::jitter(id, attempts));
                store::later(&self.pool, id, attempts, self.clock.now() + pause, &why).await?;
                Ok(Outcome::Later)
            }
            Err(PostError::Refused(why)) => {
                tracing::warn!(message_id = %id, attempts, why, "a message is given up");
                store::dead(&self.pool, id, attempts, &why).await?;
                Ok(Outcome::Dead)
            }
        }
    }

    fn count(&self, outcome: Outcome, messages: u64) {
        let label = match outcome {
            Outcome::Sent => "sent",
            Outcome::Later => "later",
            Outcome::Dead => "dead",
        };
        self.outcomes.with_label_values(&[label]).inc_by(messages);
    }
}

pub(crate) fn job(sender: Sender) -> Job {
    let sender = Arc::new(sender);
    Job {
        name: "send",
        every: LOOKED_EVERY,
        limit: RUN + CLAIM,
        run: Arc::new(move || {
            let sender = sender.clone();
            Box::pin(async move { sender.send_due().await })
        }),
    }
}
