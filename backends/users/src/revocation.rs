//! What is believed no longer before its time is up, and how gateways learn of it:
//! `GET /internal/v1/revocations`, and [`push`] over Redis where there is one.
//!
//! [`revoke`] belongs into the commit of whatever makes it true. Rows are numbered in the order in
//! which they commit (`migrations/0006_revocation.sql`), so a reader that goes on behind the last
//! number it saw misses nothing. A push is a faster way to the same rows and may get lost.

pub(crate) mod push;
mod store;

use std::sync::Arc;

use axum::{
    Json,
    extract::{Query, State},
};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;
use web::{Gateway, Problem};

use crate::{App, token};

pub(crate) use store::sweep;

/// What rings when something was revoked.
const BELL: &str = "users.revocation";
/// Clocks of those who judge tokens may differ from ours, and they may forgive some seconds more.
const LENIENCE: Duration = Duration::minutes(2);
/// What is not bound to a token's life may be remembered by those who judge it for at most so long
/// without asking us.
const REMEMBERED: Duration = Duration::hours(1);
/// Rows that matter no longer are kept until they are this old, so that a gateway that was cut off
/// can still catch up, and cut off in its turn what has gone on meanwhile.
const KEPT: Duration = Duration::hours(1);
/// Rows in one answer, unless less is asked for.
const PAGE: u16 = 1_000;

/// What is revoked.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Revoked {
    /// Every access token of a session.
    Session(Uuid),
    /// Everything that was issued to an account until now. For whoever lost rights: what they
    /// prove from now on says what they still may.
    Subject(Uuid),
    /// An API key, by the id of its secret: the one that stands in its text.
    ApiKey(Uuid),
}

/// Revokes, in the transaction of the act that is the reason. It should be the transaction's last
/// statement: whoever else revokes waits for the commit.
pub(crate) async fn revoke(
    tx: &mut PgConnection,
    what: &[Revoked],
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    if what.is_empty() {
        return Ok(());
    }
    store::append(tx, what, now).await?;
    pg::ring(tx, BELL).await
}

impl Revoked {
    fn kind(self) -> &'static str {
        match self {
            Self::Session(_) => "session",
            Self::Subject(_) => "subject",
            Self::ApiKey(_) => "api_key",
        }
    }

    fn id(self) -> Uuid {
        match self {
            Self::Session(id) | Self::Subject(id) | Self::ApiKey(id) => id,
        }
    }

    /// Tokens tell their time in whole seconds: one of this very second may have been issued before
    /// or after. It is refused, and whoever holds it gets a better one with the next refresh.
    fn not_before(self, now: OffsetDateTime) -> Option<OffsetDateTime> {
        let next = || now.truncate_to_second() + Duration::SECOND;
        matches!(self, Self::Subject(_)).then(next)
    }

    fn until(self, now: OffsetDateTime) -> OffsetDateTime {
        match self {
            Self::Session(_) => now + token::LIFETIME + LENIENCE,
            Self::Subject(_) | Self::ApiKey(_) => now + REMEMBERED,
        }
    }
}

/// How a gateway asks.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wish {
    /// The last number it knows; none at its start, when it knows nothing.
    after: Option<i64>,
    /// How many rows it takes at most: 1 to 1,000.
    limit: Option<u16>,
}

/// Consecutive rows: what a gateway is answered, and what is pushed.
#[derive(Debug, Serialize)]
pub(crate) struct Page {
    /// The rows are those behind this number,
    after: i64,
    /// up to this one.
    next: i64,
    /// The highest number there is: while `next` is lower there is more to ask for.
    head: i64,
    /// Rows behind `after` may have been swept unread. Whoever asks can't know what they said.
    lost: bool,
    /// When this was told.
    at_ms: i64,
    items: Vec<Item>,
}

/// A row. Times are in Unix seconds unless they say otherwise.
#[derive(Debug, Serialize)]
struct Item {
    cursor: i64,
    kind: String,
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    not_before: Option<i64>,
    revoked_at_ms: i64,
    until: i64,
}

/// What was revoked behind a number. For gateways alone, so it is in no document.
pub(crate) async fn feed(
    State(app): State<Arc<App>>,
    _: Gateway,
    Query(wish): Query<Wish>,
) -> Result<Json<Page>, Problem> {
    let limit = wish.limit.unwrap_or(PAGE);
    if !(1..=PAGE).contains(&limit) || wish.after.is_some_and(i64::is_negative) {
        let words = "`limit` is 1 to 1000, and `after` a number that an answer has told";
        return Err(Problem::bad_request(words));
    }
    let page = store::page(&app.pool, wish.after, limit.into(), app.clock.now()).await?;
    Ok(Json(page))
}
