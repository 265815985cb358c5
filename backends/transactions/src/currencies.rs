//! What there is to move: `GET /v1/currencies`, the same for everybody.

use axum::Json;
use axum::http::header;
use axum::response::IntoResponse;
use ledger::Currency;
use serde::Serialize;
use utoipa::ToSchema;

/// A currency that wallets are kept in.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Currency)]
pub(crate) struct Described {
    /// ISO 4217 code.
    #[schema(pattern = "^[A-Z]{3}$", example = "USD")]
    code: &'static str,
    /// How many decimals the major unit has: amounts count its 10^-exponent.
    #[schema(maximum = 3, example = 2)]
    exponent: u8,
    /// Its English name.
    #[schema(example = "US dollar")]
    name: &'static str,
}

/// All of them; there are few enough for one page.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CurrencyList {
    /// In order of code.
    items: Vec<Described>,
}

/// The currencies that wallets are kept in.
#[utoipa::path(
    get, path = "/v1/currencies", operation_id = "listCurrencies", tag = "currencies",
    responses((status = 200, description = "All of them, in order of code", body = CurrencyList)),
)]
pub(crate) async fn list_currencies() -> impl IntoResponse {
    let items = Currency::all()
        .map(|currency| Described {
            code: currency.code(),
            exponent: currency.exponent(),
            name: currency.name(),
        })
        .collect();
    // They change with a release only; half a minute lets a cache bear the load all the same.
    (
        [(header::CACHE_CONTROL, "public, max-age=30")],
        Json(CurrencyList { items }),
    )
}
