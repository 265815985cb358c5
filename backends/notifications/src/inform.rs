//! Something has happened that somebody should hear of: the message is noted in the commit that
//! notes the event as handled, so that a redelivered event makes no second mail.

use anyhow::Context;
use events::{AddressKnown, CodeIssued, Envelope};
use host::Clock;
use pg::Consumer;
use sqlx::PgPool;

use crate::{SCHEMA, letter::Content, outgoing::store};

const SEND_CODE: &str = "notifications.send_code";
const TELL_KNOWN: &str = "notifications.tell_known_address";

/// What this app hears.
pub(crate) fn consumers(pool: &PgPool, clock: &Clock) -> Vec<Consumer> {
    let (code_desk, known_desk) = (Desk::new(pool, clock), Desk::new(pool, clock));
    vec![
        Consumer::of(SEND_CODE, move |event: CodeIssued, envelope| {
            let CodeIssued {
                to,
                code,
                purpose,
                expires_at,
                ..
            } = event;
            code_desk.clone().note(
                SEND_CODE,
                envelope,
                to,
                Content::Code {
                    code,
                    purpose,
                    expires_at,
                },
            )
        }),
        Consumer::of(TELL_KNOWN, move |event: AddressKnown, envelope| {
            known_desk
                .clone()
                .note(TELL_KNOWN, envelope, event.to, Content::AddressKnown)
        }),
    ]
}

#[derive(Clone)]
struct Desk {
    pool: PgPool,
    clock: Clock,
}

impl Desk {
    fn new(pool: &PgPool, clock: &Clock) -> Self {
        Self {
            pool: pool.clone(),
            clock: clock.clone(),
        }
    }

    async fn note(
        self,
        consumer: &'static str,
        envelope: Envelope,
        to: String,
        content: Content,
    ) -> anyhow::Result<()> {
        let mut tx = self.pool.begin().await?;
        if pg::inbox::once(&mut tx, SCHEMA, consumer, envelope.id).await? {
            store::add(&mut tx, &to, &content, self.clock.now())
                .await
                .context("noting a message")?;
            tx.commit().await?;
        }
        Ok(())
    }
}
