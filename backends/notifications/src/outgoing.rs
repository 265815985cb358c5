//! Says what waits to be said, by mail or by text: rows are claimed for a while, sent, and then told how it went.
//!
//! A process that dies in between leaves a claim that runs out, and another one sends again: at
//! least once, never none. That a mail is the same one is told by its Message-ID; a text tells nothing.

mod backoff;
pub(crate) mod store;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use events::Channel;
use futures::{StreamExt, stream};
use host::{Clock, Job};
use prometheus::{IntCounterVec, Opts, Registry};
use sqlx::PgPool;

use crate::{
    channel,
    letter::{Content, Words},
    post::{CONNECTIONS, Post},
    refusal::Refusal,
    sms::Texts,
};
use store::Claimed;

/// A mail leaves about this long after its event at the latest.
const LOOKED_EVERY: Duration = Duration::from_millis(250);
/// How long a claim holds: longer than sending a whole batch may take.
const CLAIM: Duration = Duration::from_secs(90);
const BATCH: i64 = 8;
/// How long a run begins new batches: a long queue must not keep the process from stopping.
const RUN: Duration = Duration::from_secs(2);

/// What says things to people, and in which words.
pub(crate) struct Ways {
    pub(crate) post: Post,
    pub(crate) texts: Texts,
    pub(crate) words: Words,
}

pub(crate) struct Sender {
    pool: PgPool,
    clock: Clock,
    ways: Ways,
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
        ways: Ways,
        registry: &Registry,
    ) -> Result<Self, prometheus::Error> {
        let outcomes = IntCounterVec::new(
            Opts::new(
                "notifications_attempts_total",
                "Attempts to send a message, by its way and by how they went",
            ),
            &["channel", "outcome"],
        )?;
        registry.register(Box::new(outcomes.clone()))?;
        Ok(Self {
            pool,
            clock,
            ways,
            outcomes,
        })
    }

    /// Sends what is due.
    async fn send_due(&self) -> anyhow::Result<()> {
        for (channel, messages) in store::give_up(&self.pool, self.clock.now()).await? {
            self.count(&channel, Outcome::Dead, messages);
            tracing::warn!(
                channel,
                messages,
                "messages were given up: expired, or tried too often"
            );
        }
        let began = Instant::now();
        while began.elapsed() < RUN {
            let now = self.clock.now();
            let batch = store::claim(&self.pool, now, now + CLAIM, BATCH).await?;
            if batch.is_empty() {
                break;
            }
            let sending = stream::iter(batch).map(|message| self.send(message));
            let outcomes: Vec<_> = sending
                .buffer_unordered(CONNECTIONS as usize)
                .collect()
                .await;
            for outcome in outcomes {
                let (channel, outcome) = outcome?;
                self.count(&channel, outcome, 1);
            }
        }
        Ok(())
    }

    async fn send(&self, message: Claimed) -> Result<(String, Outcome), sqlx::Error> {
        let Claimed {
            id,
            channel,
            recipient,
            content,
            attempts,
        } = message;
        let Ways { post, texts, words } = &self.ways;
        let taken = match (
            channel::of(&channel),
            serde_json::from_value::<Content>(content),
        ) {
            (Some(Channel::Email), Ok(content)) => {
                post.send(id, &recipient, words.letter(&content)).await
            }
            (Some(Channel::Sms), Ok(content)) => {
                texts.send(id, &recipient, &words.text(&content)).await
            }
            // A newer version beside us can; the parser's words stay out, they may repeat a code.
            _ => Err(Refusal::later("this version cannot read it")),
        };
        let outcome = match taken {
            Ok(()) => {
                store::sent(&self.pool, id, attempts, self.clock.now()).await?;
                Outcome::Sent
            }
            Err(Refusal::Later { why, after }) => {
                tracing::warn!(message_id = %id, channel, attempts, why, "a message was not taken, it is sent again");
                let pause = backoff::pause(attempts, backoff::jitter(id, attempts));
                let pause = pause.max(after.unwrap_or_default());
                store::later(&self.pool, id, attempts, self.clock.now() + pause, &why).await?;
                Outcome::Later
            }
            Err(Refusal::Final(why)) => {
                tracing::warn!(message_id = %id, channel, attempts, why, "a message is given up");
                store::dead(&self.pool, id, attempts, &why).await?;
                Outcome::Dead
            }
        };
        Ok((channel, outcome))
    }

    fn count(&self, channel: &str, outcome: Outcome, messages: u64) {
        let outcome = match outcome {
            Outcome::Sent => "sent",
            Outcome::Later => "later",
            Outcome::Dead => "dead",
        };
        self.outcomes
            .with_label_values(&[channel, outcome])
            .inc_by(messages);
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
