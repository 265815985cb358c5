//! Lists, a page at a time, by signed cursors.
//!
//! A cursor is where the list went on when it was read; it is signed and bound to the caller and
//! the filter, so that it cannot be forged, nor carried into somebody else's list.

use axum::extract::{FromRequestParts, Query};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use http::StatusCode;
use http::request::Parts;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use utoipa::{IntoParams, ToSchema};

use crate::Problem;

/// The most that a page holds.
pub const MAX_LIMIT: u32 = 100;
/// What a page holds when the client does not say.
pub const DEFAULT_LIMIT: u32 = 20;
/// The longest cursor that is looked at, in bytes.
const MAX_CURSOR_BYTES: usize = 1024;

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Page<T> {
    /// Up to `limit` of them.
    pub items: Vec<T>,
    /// Where the list goes on; absent on the last page.
    pub next_cursor: Option<String>,
}

impl<T> Page<T> {
    /// A page out of up to `limit + 1` rows: the one too many says that the list goes on, behind
    /// the last item that is shown.
    pub fn cut(mut rows: Vec<T>, limit: u32, cursor: impl FnOnce(&T) -> String) -> Self {
        let limit = limit as usize;
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next_cursor = rows.last().filter(|_| more).map(cursor);
        Self {
            items: rows,
            next_cursor,
        }
    }
}

/// `?limit=1..=100&cursor=`, checked; the cursor is opened by [`Cursors::open`].
#[derive(Debug, Clone, PartialEq, Eq, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Wish {
    /// How many items at most.
    #[param(minimum = 1, maximum = 100, default = 20)]
    pub limit: u32,
    /// The `next_cursor` of the page before.
    pub cursor: Option<String>,
}

/// As the client wrote it. Other parameters are the handler's filter, so unknown keys pass here.
#[derive(Deserialize)]
struct Written {
    limit: Option<u32>,
    cursor: Option<String>,
}

impl<S: Send + Sync> FromRequestParts<S> for Wish {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Query(written) = Query::<Written>::from_request_parts(parts, state)
            .await
            .map_err(|rejection| Problem::bad_request(rejection.body_text()))?;
        let limit = written.limit.unwrap_or(DEFAULT_LIMIT);
        if !(1..=MAX_LIMIT).contains(&limit) {
            return Err(Problem::bad_request(format!(
                "limit must be from 1 to {MAX_LIMIT}"
            )));
        }
        Ok(Self {
            limit,
            cursor: written.cursor.filter(|cursor| !cursor.is_empty()),
        })
    }
}

/// Signs cursors and opens them again.
#[derive(Clone)]
pub struct Cursors(Hmac<Sha256>);

impl Cursors {
    /// With the deployment's `cursor_key`.
    pub fn new(key: &host::Key) -> Self {
        Self(Hmac::new_from_slice(key.reveal()).expect("HMAC takes a key of any length"))
    }

    /// A cursor that goes on at `position` in the list that `bound_to` names: the list, the caller
    /// and the filter, such as `entries of WALLET for USER`.
    pub fn seal<T: Serialize>(&self, position: &T, bound_to: &str) -> String {
        let position = serde_json::to_vec(position).expect("a position is plain data");
        let tag = self.tag(&position, bound_to).finalize().into_bytes();
        URL_SAFE_NO_PAD.encode([&tag[..TAG_BYTES], &position].concat())
    }

    /// The position of a cursor sealed for the same `bound_to`; else 400 `bad_cursor`, which does
    /// not tell why.
    pub fn open<T: DeserializeOwned>(&self, cursor: &str, bound_to: &str) -> Result<T, Problem> {
        self.opened(cursor, bound_to).ok_or_else(|| {
            Problem::new(StatusCode::BAD_REQUEST, "bad_cursor", "Bad cursor")
                .detail("give a next_cursor of this very list, unchanged, or none")
        })
    }

    fn opened<T: DeserializeOwned>(&self, cursor: &str, bound_to: &str) -> Option<T> {
        if cursor.len() > MAX_CURSOR_BYTES {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
        let (tag, position) = bytes.split_at_checked(TAG_BYTES)?;
        self.tag(position, bound_to)
            .verify_truncated_left(tag)
            .ok()?;
        serde_json::from_slice(position).ok()
    }

    fn tag(&self, position: &[u8], bound_to: &str) -> Hmac<Sha256> {
        self.0
            .clone()
            .chain_update((bound_to.len() as u64).to_be_bytes())
            .chain_update(bound_to)
            .chain_update(position)
    }
}

/// Half an HMAC-SHA256: 128 bits are out of reach, and cursors travel in URLs.
const TAG_BYTES: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_25_a_cursor_opens_in_its_own_list_only_and_unchanged() {
        let cursors = Cursors::new(&host::Key::new([1; 32]));
        let sealed = cursors.seal(&(7, "x"), "entries of w1 for ann");
        let back: (i32, String) = cursors
            .open(&sealed, "entries of w1 for ann")
            .expect("sealed for this list");
        assert_eq!(back, (7, "x".to_owned()));

        let other_key = Cursors::new(&host::Key::new([2; 32]));
        let open = |cursors: &Cursors, cursor: &str, bound_to: &str| {
            cursors
                .open::<(i32, String)>(cursor, bound_to)
                .map_err(|p| p.code())
        };
        assert_eq!(
            open(&cursors, &sealed, "entries of w1 for bob"),
            Err("bad_cursor")
        );
        assert_eq!(
            open(&other_key, &sealed, "entries of w1 for ann"),
            Err("bad_cursor")
        );
        for at in 0..sealed.len() {
            let mut changed = sealed.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).expect("ASCII");
            assert_eq!(
                open(&cursors, &changed, "entries of w1 for ann"),
                Err("bad_cursor")
            );
        }
        for odd in ["", "AA", "%%%", &"A".repeat(2000)] {
            assert_eq!(
                open(&cursors, odd, "entries of w1 for ann"),
                Err("bad_cursor")
            );
        }
    }

    #[test]
    fn a_page_goes_on_only_when_there_is_more() {
        let cursor = |n: &i32| format!("after {n}");
        let page = Page::cut(vec![1, 2, 3], 2, cursor);
        assert_eq!(
            (page.items, page.next_cursor),
            (vec![1, 2], Some("after 2".to_owned()))
        );
        let page = Page::cut(vec![1, 2], 2, cursor);
        assert_eq!((page.items, page.next_cursor), (vec![1, 2], None));
        assert_eq!(Page::cut(vec![], 2, cursor).next_cursor, None);
    }
}
