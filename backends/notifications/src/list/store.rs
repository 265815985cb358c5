//! The messages as a list.

use events::Channel;
use sqlx::PgPool;
use uuid::Uuid;

use super::{Notification, NotificationChannel, NotificationState, masked};
use crate::channel;

/// The messages older than `before`, newest first: ids of version 7 are in the order of time.
pub(super) async fn page(
    pool: &PgPool,
    before: Uuid,
    limit: i64,
) -> Result<Vec<Notification>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"
        select id, kind, channel, recipient, state, attempts, created_at, sent_at
        from notifications.message
        where id < $1
        order by id desc
        limit $2
        "#,
        before,
        limit,
    )
    .fetch_all(pool)
    .await?;
    rows.into_iter()
        .map(|row| {
            let state = match row.state.as_str() {
                "waiting" => NotificationState::Waiting,
                "sent" => NotificationState::Sent,
                "dead" => NotificationState::Dead,
                other => return Err(sqlx::Error::Decode(format!("no state {other}").into())),
            };
            let channel = match channel::of(&row.channel) {
                Some(Channel::Email) => NotificationChannel::Email,
                Some(Channel::Sms) => NotificationChannel::Sms,
                None => {
                    return Err(sqlx::Error::Decode(
                        format!("no channel {}", row.channel).into(),
                    ));
                }
            };
            Ok(Notification {
                id: row.id,
                kind: row.kind,
                channel,
                to: masked(&row.recipient),
                state,
                attempts: row.attempts,
                created_at: row.created_at,
                sent_at: row.sent_at,
            })
        })
        .collect()
}
