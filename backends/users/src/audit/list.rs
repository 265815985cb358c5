//! The record as people read it, newest first: one's own at `GET /v1/me/audit`, everybody's at
//! `GET /v1/audit`.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Query, State, rejection::QueryRejection},
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;
use web::{
    Caller, Problem,
    page::{self, Page},
};

use super::{Act, AuditError, Entry, store};
use crate::{App, key::Key, rights::Permission};

/// Something that happened to the caller's account.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct OwnEvent {
    /// Its place in the record. Not shown: it would tell how much happens to everybody.
    #[serde(skip)]
    pub(super) seq: i64,
    #[serde(with = "time::serde::rfc3339")]
    pub(super) at: OffsetDateTime,
    /// What it was, as `session.begun`.
    pub(super) act: String,
    /// Whether somebody else did it: somebody who runs the place.
    pub(super) by_other: bool,
    pub(super) session_id: Option<Uuid>,
    pub(super) api_key_id: Option<Uuid>,
    /// Under which id support finds what else was logged of the request.
    pub(super) request_id: Option<String>,
    /// Where it was done from, if that was kept.
    pub(super) ip: Option<String>,
    /// With what, if that was kept: whatever the program said of itself.
    pub(super) user_agent: Option<String>,
}

/// An act of the record.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AuditEvent {
    /// Its place in the record.
    pub(super) seq: i64,
    /// The link of the chain that holds it.
    pub(super) n: Option<i64>,
    #[serde(with = "time::serde::rfc3339")]
    pub(super) at: OffsetDateTime,
    /// What it was, as `session.begun`.
    pub(super) act: String,
    /// Whom it concerns.
    pub(super) account_id: Uuid,
    /// Who did it, if it was somebody else.
    pub(super) actor_id: Option<Uuid>,
    pub(super) session_id: Option<Uuid>,
    pub(super) api_key_id: Option<Uuid>,
    pub(super) request_id: Option<String>,
    /// Its particulars, until their person is erased.
    #[schema(value_type = Option<Object>)]
    pub(super) detail: Option<serde_json::Value>,
}

/// Which acts are asked for: those to which all of this applies.
#[derive(Debug, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Filter {
    /// Whom they concern.
    pub(super) account_id: Option<Uuid>,
    /// Who did them, to somebody else.
    pub(super) actor_id: Option<Uuid>,
    /// What they were, as `session.begun`.
    #[param(max_length = 64)]
    pub(super) act: Option<String>,
    /// From this moment on.
    #[serde(default, with = "time::serde::rfc3339::option")]
    #[param(value_type = Option<String>, format = DateTime)]
    pub(super) from: Option<OffsetDateTime>,
    /// Before this moment.
    #[serde(default, with = "time::serde::rfc3339::option")]
    #[param(value_type = Option<String>, format = DateTime)]
    pub(super) to: Option<OffsetDateTime>,
}

/// What happened to the caller's account: sign-ins, keys, changes, by them or by others.
#[utoipa::path(
    get, path = "/v1/me/audit", operation_id = "listOwnAudit", tag = "me",
    params(page::Wish),
    responses(
        (status = 200, description = "A page of it, newest first", body = Page<OwnEvent>),
        (status = 400, description = "`bad_cursor`"),
        (status = 401, description = "Nobody is signed in (`unauthenticated`)"),
    )
)]
pub(crate) async fn own(
    State(app): State<Arc<App>>,
    caller: Caller,
    wish: page::Wish,
) -> Result<Json<Page<OwnEvent>>, AuditError> {
    let list = format!("own acts of {}", caller.user_id);
    let before = position(&app.audit_cursors, wish.cursor.as_deref(), &list)?;
    let limit = i64::from(wish.limit) + 1;
    let rows = store::of_account(&app.pool, caller.user_id, before, limit).await?;
    cut(&app.audit_cursors, rows, wish.limit, &list, |event| {
        event.seq
    })
}

/// What happened to everybody, for those who run the place. That they looked is an act as well.
#[utoipa::path(
    get, path = "/v1/audit", operation_id = "listAudit", tag = "audit",
    params(Filter, page::Wish),
    responses(
        (status = 200, description = "A page of it, newest first", body = Page<AuditEvent>),
        (status = 400, description = "`bad_cursor`, or `bad_request`: a filter makes no sense"),
        (status = 403, description = "The caller may not look into the record (`forbidden`)"),
    )
)]
pub(crate) async fn all(
    State(app): State<Arc<App>>,
    caller: Caller,
    filter: Result<Query<Filter>, QueryRejection>,
    wish: page::Wish,
) -> Result<Json<Page<AuditEvent>>, Problem> {
    app.rights.require(&caller, Permission::AuditRead)?;
    let Query(filter) = filter.map_err(|rejection| Problem::bad_request(rejection.body_text()))?;
    Ok(search(&app, &caller, &filter, wish).await?)
}

async fn search(
    app: &App,
    caller: &Caller,
    filter: &Filter,
    wish: page::Wish,
) -> Result<Json<Page<AuditEvent>>, AuditError> {
    let asked = serde_json::to_value(filter).expect("a filter is plain data");
    let list = format!("acts for {} by {asked}", caller.user_id);
    let before = position(&app.audit_cursors, wish.cursor.as_deref(), &list)?;
    let now = app.clock.now();
    let mut tx = app.pool.begin().await?;
    let rows = store::search(&mut tx, filter, before, i64::from(wish.limit) + 1).await?;
    let concerned = filter.account_id.unwrap_or(caller.user_id);
    Entry::new(Act::RecordRead, concerned)
        .by(caller.user_id)
        .session(caller.sid)
        .say("filter", asked)
        .record(&mut tx, now)
        .await?;
    tx.commit().await?;
    cut(&app.audit_cursors, rows, wish.limit, &list, |event| {
        event.seq
    })
}

/// Cursors are sealed, not only signed as those of other lists: what they say is a place in the
/// record of everybody.
fn cut<T>(
    key: &Key,
    rows: Vec<T>,
    limit: u32,
    list: &str,
    seq: impl Fn(&T) -> i64,
) -> Result<Json<Page<T>>, AuditError> {
    let mut position = None;
    let mut page = Page::cut(rows, limit, |last| {
        position = Some(seq(last));
        String::new()
    });
    if let Some(position) = position {
        let sealed = key.seal(list.as_bytes(), &position.to_be_bytes())?;
        page.next_cursor = Some(BASE64_URL_SAFE_NO_PAD.encode(sealed));
    }
    Ok(Json(page))
}

/// Where a list goes on: before this place of the record.
fn position(key: &Key, cursor: Option<&str>, list: &str) -> Result<i64, AuditError> {
    let Some(cursor) = cursor else {
        return Ok(i64::MAX);
    };
    let opened = || {
        let sealed = BASE64_URL_SAFE_NO_PAD.decode(cursor).ok()?;
        let position = key.open(list.as_bytes(), &sealed)?;
        position.try_into().ok().map(i64::from_be_bytes)
    };
    opened().ok_or(AuditError::BadCursor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_goes_on_where_it_was_cut_and_nowhere_else() {
        let key = Key::from_bytes(&[1; 32]);
        let Json(page) = cut(&key, vec![9, 7, 5], 2, "acts of ann", |seq| *seq).expect("a page");
        assert_eq!(page.items, [9, 7]);
        let cursor = page.next_cursor.expect("it goes on");
        let at = |cursor, list| position(&key, cursor, list).ok();
        assert_eq!(at(Some(&cursor), "acts of ann"), Some(7));
        assert_eq!(at(Some(&cursor), "acts of bob"), None);
        assert_eq!(at(None, "acts of bob"), Some(i64::MAX));
        for odd in ["", "AA", "%", &cursor[1..], &"A".repeat(2000)] {
            assert_eq!(at(Some(odd), "acts of ann"), None, "{odd}");
        }
        let Json(page) = cut(&key, vec![9, 7], 2, "acts of ann", |seq| *seq).expect("a page");
        assert_eq!((page.items, page.next_cursor), (vec![9, 7], None));
    }
}
