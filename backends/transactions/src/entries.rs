//! What has moved: `GET /v1/wallets/{id}/entries`, newest first.

mod store;

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use ledger::{Amount, Code, WrittenAmount};
use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;
use web::page::{Page, Wish};
use web::{Caller, Problem};

use crate::App;
use crate::wallets::{self, wallet_not_found};

/// One line of a wallet's statement.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Entry {
    /// The transfer it is one side of.
    id: Uuid,
    kind: EntryKind,
    direction: Direction,
    /// How much, always positive: `direction` is the sign.
    #[schema(value_type = WrittenAmount)]
    amount: Amount,
    /// The other wallet; none when the money came from the house.
    counterparty: Option<Uuid>,
    /// The posted balance right after this entry, in minor units of the same currency.
    #[schema(example = 98_766)]
    balance_after: i64,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
}

/// Why money moved.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum EntryKind {
    /// A user paid another.
    Transfer,
    /// The balance that the wallet began with.
    Opening,
}

/// Seen from the wallet.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Direction {
    /// It got.
    In,
    /// It gave.
    Out,
}

impl From<Code> for EntryKind {
    fn from(code: Code) -> Self {
        match code {
            Code::Transfer => Self::Transfer,
            Code::Opening => Self::Opening,
        }
    }
}

/// What has moved in and out of one of the caller's wallets, newest first.
#[utoipa::path(
    get, path = "/v1/wallets/{id}/entries", operation_id = "listEntries", tag = "wallets",
    params(("id" = Uuid, Path, description = "The wallet"), Wish),
    responses(
        (status = 200, description = "A page of them", body = Page<Entry>),
        (status = 404, description = "`wallet_not_found`: not there, or not the caller's"),
    ),
)]
pub(crate) async fn list_entries(
    caller: Caller,
    id: Result<Path<Uuid>, PathRejection>,
    wish: Wish,
    State(app): State<Arc<App>>,
) -> Result<Json<Page<Entry>>, Problem> {
    let id = wallets::in_path(id)?;
    let wallet = wallets::store::known(&app.pool, id).await?;
    let wallet = wallet
        .filter(|wallet| wallet.owner == caller.user_id)
        .ok_or_else(wallet_not_found)?;
    let list = format!("entries of {id} for {}", caller.user_id);
    // The cursor names the last entry shown by its id. The `seq` behind it would tell how many transfers
    // everybody has made.
    let open = |cursor: &String| app.cursors.open(cursor, &list);
    let before = wish.cursor.as_ref().map(open).transpose()?;
    let limit = i64::from(wish.limit) + 1;
    let rows = store::of_account(&app.pool, wallet.account, before, limit).await?;
    let seal = |last: &Entry| app.cursors.seal(&last.id, &list);
    Ok(Json(Page::cut(rows, wish.limit, seal)))
}
