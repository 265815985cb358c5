//! What one has: `GET /v1/wallets`, `GET /v1/wallets/{id}`.

pub(crate) mod store;

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use ledger::{AccountId, Currency, Kind};
use serde::Serialize;
use sqlx::PgConnection;
use utoipa::ToSchema;
use uuid::Uuid;
use web::page::{Page, Wish};
use web::{Caller, Problem};

use crate::App;

/// One's money in one currency.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wallet {
    /// What transfers name it by.
    id: Uuid,
    /// ISO 4217 code.
    #[schema(value_type = String, pattern = "^[A-Z]{3}$", example = "USD")]
    currency: Currency,
    /// What has come in less what has gone out, in whole minor units of the currency (1234 is 12.34 USD).
    #[schema(example = 100_000)]
    posted: i64,
    /// The part of it that is reserved, in minor units.
    #[schema(minimum = 0, example = 0)]
    held: i64,
    /// What may be spent: posted less held, in minor units.
    #[schema(example = 100_000)]
    available: i64,
}

impl Wallet {
    fn new(id: Uuid, currency: Currency, posted: i64, held: i64) -> Self {
        let available = posted - held;
        Self {
            id,
            currency,
            posted,
            held,
            available,
        }
    }
}

/// A wallet as the ledger knows it, and whose it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Known {
    pub(crate) account: AccountId,
    pub(crate) owner: Uuid,
}

/// The caller's wallets, in the order they were opened.
#[utoipa::path(
    get, path = "/v1/wallets", operation_id = "listWallets", tag = "wallets", params(Wish),
    responses((status = 200, description = "A page of them", body = Page<Wallet>)),
)]
pub(crate) async fn list_wallets(
    caller: Caller,
    wish: Wish,
    State(app): State<Arc<App>>,
) -> Result<Json<Page<Wallet>>, Problem> {
    let list = format!("wallets of {}", caller.user_id);
    let after = match &wish.cursor {
        Some(cursor) => app.cursors.open(cursor, &list)?,
        None => Uuid::nil(),
    };
    let rows = store::of_owner(&app.pool, caller.user_id, after, i64::from(wish.limit) + 1).await?;
    let seal = |last: &Wallet| app.cursors.seal(&last.id, &list);
    Ok(Json(Page::cut(rows, wish.limit, seal)))
}

/// One of the caller's wallets.
#[utoipa::path(
    get, path = "/v1/wallets/{id}", operation_id = "readWallet", tag = "wallets",
    params(("id" = Uuid, Path, description = "The wallet")),
    responses(
        (status = 200, description = "The wallet", body = Wallet),
        (status = 404, description = "`wallet_not_found`: not there, or not the caller's"),
    ),
)]
pub(crate) async fn read_wallet(
    caller: Caller,
    id: Result<Path<Uuid>, PathRejection>,
    State(app): State<Arc<App>>,
) -> Result<Json<Wallet>, Problem> {
    let id = in_path(id)?;
    let wallet = store::by_id(&app.pool, id, caller.user_id).await?;
    wallet.map(Json).ok_or_else(wallet_not_found)
}

/// The `{id}` of a path; what is no uuid names no wallet.
pub(crate) fn in_path(id: Result<Path<Uuid>, PathRejection>) -> Result<Uuid, Problem> {
    id.map(|Path(id)| id).map_err(|_| wallet_not_found())
}

/// 404, the same for a wallet that is not there and for one that is another's: ids cannot be probed.
pub(crate) fn wallet_not_found() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "wallet_not_found", "No such wallet")
}

/// Gives the user a wallet in this currency, unless they have it; the ledger's account behind it.
pub(crate) async fn open(
    tx: &mut PgConnection,
    owner: Uuid,
    currency: Currency,
) -> Result<AccountId, sqlx::Error> {
    let account = ledger::open_account(tx, Some(owner), currency, Kind::Wallet).await?;
    store::insert(tx, Uuid::now_v7(), account, owner).await?;
    Ok(account)
}
