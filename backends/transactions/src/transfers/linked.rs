//! Several transfers as one, of which all take place or none: `POST /v1/entries`, and looking at it
//! again: `GET /v1/entries/{id}`. Each of them is a transfer with an id of its own, too.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::Method;
use axum::response::Response;
use ledger::{Chain, Claim, Code, Move, Order, Verdict};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;
use web::{Caller, IdempotencyKey, Input, Problem};

use super::{
    Transfer, TransferError, TransferWish, created, problem_answer, refused, settle, store,
};
use crate::App;
use crate::wallets;

const PATH: &str = "/v1/entries";

/// Transfers of which all are to take place or none.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EntryWish {
    /// Each upon what the ones before it left.
    #[schema(min_items = 1, max_items = 64)]
    transfers: Vec<TransferWish>,
}

/// Transfers that took place as one.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LinkedTransfers {
    pub(super) id: Uuid,
    /// In their order. Whoever was paid by some of them sees those alone.
    pub(super) transfers: Vec<Transfer>,
    #[serde(with = "time::serde::rfc3339")]
    pub(super) created_at: OffsetDateTime,
}

/// Moves money from the caller's wallets to others in up to 64 steps, all of them or none.
///
/// A refusal names the step that is in the way (`errors[0].pointer`): the amounts and wallets of all are
/// looked at first, and then the money, in order. The entry has the id of its first transfer. As with `createTransfer`, one
/// `Idempotency-Key` has one effect and one answer.
#[utoipa::path(
    post, path = PATH, operation_id = "createEntry", tag = "transfers",
    request_body = EntryWish,
    params((
        "Idempotency-Key" = String, Header, description = "The caller's name for this wish",
        min_length = 1, max_length = 255, pattern = "^[!-~]+$"
    )),
    responses(
        (status = 201, description = "All of it has moved", body = LinkedTransfers,
            headers(("idempotency-replayed" = bool, description = "`true` on an answer given before"))),
        (status = 404, description = "`wallet_not_found`: not there, or a `from` is not the caller's"),
        (status = 409, description = "`idempotency_key_reused`: another request came under this key"),
        (status = 422, description = "`insufficient_funds`, `currency_mismatch`, `same_wallet`, `bad_amount` or `bad_entry`; nothing moved"),
    ),
)]
pub(crate) async fn create_entry(
    caller: Caller,
    key: IdempotencyKey,
    State(app): State<Arc<App>>,
    Input(wish): Input<EntryWish>,
) -> Result<Response, TransferError> {
    let chain = chain(&app, &caller, &wish).await?;
    let fingerprint = key.fingerprint(&Method::POST, PATH, &wish);
    let request_id = web::request_id();
    let order = Order {
        chain,
        claim: Claim::new(caller.user_id, key.as_str(), fingerprint),
        answer: Box::new(move |verdict| answer(&wish, verdict, request_id.as_deref())),
    };
    settle(&app, order).await
}

/// The wish in the ledger's terms.
async fn chain(app: &App, caller: &Caller, wish: &EntryWish) -> Result<Chain, TransferError> {
    let length = wish.transfers.len();
    if !(1..=Chain::MAX_LEGS).contains(&length) {
        return Err(TransferError::Length);
    }
    let named = wish.transfers.iter().flat_map(|step| [step.from, step.to]);
    let named: BTreeSet<Uuid> = named.collect();
    let known = wallets::store::all_known(&app.pool, &named).await?;
    let moves = wish.transfers.iter().enumerate().map(|(leg, step)| {
        let at = |why| TransferError::At(leg, Box::new(why));
        let amount = step.amount.read();
        let amount = amount.map_err(|why| at(TransferError::Amount(why)))?;
        let from = known.get(&step.from);
        let from = from.filter(|wallet| wallet.owner == caller.user_id);
        let (Some(from), Some(to)) = (from, known.get(&step.to)) else {
            return Err(at(TransferError::WalletNotFound));
        };
        Ok(Move {
            transfer: ledger::Transfer {
                debit: from.account,
                credit: to.account,
                amount,
            },
            code: Code::Transfer,
        })
    });
    Chain::new(moves.collect::<Result<_, _>>()?).map_err(|_| TransferError::Length)
}

/// An entry, as far as the caller paid or was paid by it.
#[utoipa::path(
    get, path = "/v1/entries/{id}", operation_id = "readEntry", tag = "transfers",
    params(("id" = Uuid, Path, description = "The entry")),
    responses(
        (status = 200, description = "The entry", body = LinkedTransfers),
        (status = 404, description = "`not_found`: not there, or nothing of it is the caller's"),
    ),
)]
pub(crate) async fn read_entry(
    caller: Caller,
    id: Result<Path<Uuid>, PathRejection>,
    State(app): State<Arc<App>>,
) -> Result<Json<LinkedTransfers>, Problem> {
    let Path(id) = id.map_err(|_| Problem::not_found())?;
    let transfers = store::of_entry(&app.pool, id, caller.user_id).await?;
    let created_at = transfers.first().map(|first| first.created_at);
    let created_at = created_at.ok_or_else(Problem::not_found)?;
    Ok(Json(LinkedTransfers {
        id,
        transfers,
        created_at,
    }))
}

fn answer(wish: &EntryWish, verdict: &Verdict, request_id: Option<&str>) -> ledger::Answer {
    match verdict {
        Ok(posted) => {
            let steps = wish.transfers.iter().zip(&posted.legs);
            let transfers = steps.map(|(step, leg)| Transfer::of(step, leg, posted.at));
            created(&LinkedTransfers {
                id: posted.id(),
                transfers: transfers.collect(),
                created_at: posted.at,
            })
        }
        Err(why) => problem_answer(at(refused(why.why), why.leg), request_id),
    }
}

/// The same problem, of one of the steps.
pub(super) fn at(problem: Problem, leg: usize) -> Problem {
    let words = problem.words().to_owned();
    let pointer = format!("/transfers/{leg}");
    problem.with(
        "errors",
        serde_json::json!([{ "pointer": pointer, "detail": words }]),
    )
}
