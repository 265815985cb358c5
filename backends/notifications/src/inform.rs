//! Something has happened that somebody should hear of: the message is noted in the commit that
//! notes the event as handled, so that a redelivered event makes no second mail.

use anyhow::Context;
use events::{AddressKnown, Channel, CodeIssued, Envelope, SecurityNotice};
use host::Clock;
use pg::Consumer;
use sqlx::PgPool;

use crate::{
    SCHEMA,
    budget::{Leave, Till},
    letter::Content,
    outgoing::store::{self, New},
};

const SEND_CODE: &str = "notifications.send_code";
const TELL_KNOWN: &str = "notifications.tell_known_address";
const TELL_OWNER: &str = "notifications.tell_owner";

/// What this app hears.
pub(crate) fn consumers(pool: &PgPool, clock: &Clock, till: &Till) -> Vec<Consumer> {
    let desk = || Desk {
        pool: pool.clone(),
        clock: clock.clone(),
        till: till.clone(),
    };
    let (codes, known, notices) = (desk(), desk(), desk());
    vec![
        Consumer::of(SEND_CODE, move |event: CodeIssued, envelope| {
            let message = New {
                channel: event.channel,
                recipient: event.to,
                content: Content::Code {
                    code: event.code,
                    purpose: event.purpose,
                    expires_at: event.expires_at,
                    link: event.link,
                },
            };
            codes.clone().note(SEND_CODE, envelope, message)
        }),
        Consumer::of(TELL_KNOWN, move |event: AddressKnown, envelope| {
            let message = New {
                channel: event.channel,
                recipient: event.to,
                content: Content::AddressKnown,
            };
            known.clone().note(TELL_KNOWN, envelope, message)
        }),
        Consumer::of(TELL_OWNER, move |event: SecurityNotice, envelope| {
            let message = New {
                channel: event.channel,
                recipient: event.to,
                content: Content::Notice {
                    what: event.what,
                    at: event.at,
                    about: event.about,
                    undo: event.undo,
                },
            };
            notices.clone().note(TELL_OWNER, envelope, message)
        }),
    ]
}

#[derive(Clone)]
struct Desk {
    pool: PgPool,
    clock: Clock,
    till: Till,
}

impl Desk {
    async fn note(
        self,
        consumer: &'static str,
        envelope: Envelope,
        message: New,
    ) -> anyhow::Result<()> {
        let mut tx = self.pool.begin().await?;
        if !pg::inbox::once(&mut tx, SCHEMA, consumer, envelope.id).await? {
            return Ok(());
        }
        let now = self.clock.now();
        let leave = match message.channel {
            Channel::Email => Leave::At(now),
            Channel::Sms => {
                let mandatory = message.content.is_mandatory();
                self.till
                    .pay(&mut tx, &message.recipient, mandatory, now)
                    .await
                    .context("paying for a text")?
            }
        };
        match leave {
            Leave::At(at) => store::add(&mut tx, &message, now, at).await,
            Leave::Never(why) => store::add_dead(&mut tx, &message, now, &why.reason()).await,
        }
        .context("noting a message")?;
        tx.commit().await?;
        if let Leave::Never(why) = leave {
            self.till.tell(why);
        }
        Ok(())
    }
}
