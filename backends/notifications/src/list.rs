//! How messages fared: `GET /v1/notifications`, for admins, newest first. What they said is not
//! shown, and whom they went to is shown so far that support can tell two people apart.

mod store;

use std::sync::Arc;

use axum::{Json, extract::State};
use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;
use web::{
    Caller, Problem,
    page::{Page, Wish},
};

use crate::{App, number::Number};

/// One message and how it fares.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Notification {
    id: Uuid,
    /// What it tells: `verify_email`, `address_known`, `new_device`.
    #[schema(example = "verify_email")]
    kind: String,
    /// Which way it takes.
    channel: NotificationChannel,
    /// The address with most of its name hidden, or the number with its last two digits.
    #[schema(example = "a***@example.com")]
    to: String,
    state: NotificationState,
    /// How often it was tried.
    #[schema(minimum = 0)]
    attempts: i32,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    /// When the mail server or the provider of texts took it; null until then.
    #[serde(with = "time::serde::rfc3339::option")]
    sent_at: Option<OffsetDateTime>,
}

/// Which way a message takes.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum NotificationChannel {
    /// Mail.
    Email,
    /// A text message.
    Sms,
}

/// Where a message is on its way.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum NotificationState {
    /// It is tried until it is taken or given up.
    Waiting,
    /// The mail server or the provider of texts has taken it.
    Sent,
    /// It was given up.
    Dead,
}

/// The messages that were to reach people, newest first.
#[utoipa::path(
    get, path = "/v1/notifications", operation_id = "listNotifications", tag = "notifications",
    params(Wish),
    responses(
        (status = 200, description = "A page of them", body = Page<Notification>),
        (status = 403, description = "`forbidden`: for admins"),
    ),
)]
pub(crate) async fn list_notifications(
    caller: Caller,
    wish: Wish,
    State(app): State<Arc<App>>,
) -> Result<Json<Page<Notification>>, Problem> {
    if !caller.has_role("admin") {
        return Err(Problem::forbidden());
    }
    let list = format!("notifications for {}", caller.user_id);
    let before = match &wish.cursor {
        Some(cursor) => app.cursors.open(cursor, &list)?,
        None => Uuid::max(),
    };
    let rows = store::page(&app.pool, before, i64::from(wish.limit) + 1).await?;
    let seal = |last: &Notification| app.cursors.seal(&last.id, &list);
    Ok(Json(Page::cut(rows, wish.limit, seal)))
}

/// The first character of the name, and the domain; of a number its end.
fn masked(address: &str) -> String {
    match address.rsplit_once('@') {
        Some((name, domain)) => {
            let first = name.chars().next().map(String::from).unwrap_or_default();
            format!("{first}***@{domain}")
        }
        None => match Number::parse(address) {
            Ok(number) => format!("***{}", &number.digits()[number.digits().len() - 2..]),
            Err(_) => "***".to_owned(),
        },
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_masked_address_hides_the_name() {
        for (address, masked) in [
            ("ann@example.com", "a***@example.com"),
            ("юля@example.com", "ю***@example.com"),
            ("@example.com", "***@example.com"),
            ("\"a@b\"@example.com", "\"***@example.com"),
            ("nobody", "***"),
            ("+79255070602", "***02"),
            ("+7", "***"),
        ] {
            assert_eq!(super::masked(address), masked);
        }
    }
}
