//! The feed's pages, as the upstream answers and pushes them.

use bytes::Bytes;
use http::{Method, Request};
use plugin_sdk::Upstreams as _;
use serde::Deserialize;

use crate::ask::Asking;

/// Rows that are asked for at a time.
const ROWS: usize = 1_000;
/// The longest page, in bytes.
pub(super) const MAX_BYTES: usize = 1 << 20;
/// Who asks, as the upstream's statement says.
const ASKER: &str = "revocation";

/// Consecutive rows.
#[derive(Debug, Deserialize)]
pub(super) struct Page {
    /// The rows are those behind this number,
    pub(super) after: u64,
    /// up to this one.
    pub(super) next: u64,
    /// The highest number there is.
    pub(super) head: u64,
    /// Some behind `after` were forgotten unread.
    pub(super) lost: bool,
    /// When it was told, in Unix milliseconds.
    pub(super) at_ms: i64,
    pub(super) items: Vec<Item>,
}

/// What was revoked.
#[derive(Debug, Deserialize)]
pub(super) struct Item {
    pub(super) cursor: u64,
    pub(super) kind: String,
    pub(super) id: String,
    /// In Unix seconds; of a subject: what was issued before this is refused.
    pub(super) not_before: Option<i64>,
    pub(super) revoked_at_ms: i64,
    /// In Unix seconds: what it refuses is void by itself then.
    pub(super) until: i64,
}

/// Asks the feed for what is behind a number.
pub(super) async fn ask(asking: &Asking, feed: &str, after: Option<u64>) -> Result<Page, String> {
    let path = match after {
        Some(after) => format!("/internal/v1/revocations?limit={ROWS}&after={after}"),
        None => format!("/internal/v1/revocations?limit={ROWS}"),
    };
    let request = Request::builder().method(Method::GET).uri(path);
    let request = request.body(Bytes::new()).map_err(|e| e.to_string())?;
    let answer = asking.ask(feed, ASKER, request, MAX_BYTES).await;
    let answer = answer.map_err(|error| error.to_string())?;
    if answer.status() != http::StatusCode::OK {
        return Err(format!("the answer was {}", answer.status()));
    }
    read(answer.body()).ok_or_else(|| "the answer was no page of a feed".to_owned())
}

/// Reads a page, wherever it comes from.
pub(super) fn read(bytes: &[u8]) -> Option<Page> {
    let page: Page = serde_json::from_slice(bytes).ok()?;
    let in_order = page.items.is_sorted_by_key(|item| item.cursor);
    // It ends before it begins only where the feed has begun anew.
    let whole = page.next >= page.after || page.head < page.after;
    (bytes.len() <= MAX_BYTES && in_order && whole).then_some(page)
}
