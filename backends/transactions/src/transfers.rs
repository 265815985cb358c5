//! Paying somebody: `POST /v1/transfers`, and looking at it again: `GET /v1/transfers/{id}`. Several at
//! once are [`linked`].

pub(crate) mod linked;
mod store;

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use ledger::{
    Amount, AmountError, Answer, Chain, Claim, Code, Order, Outcome, PostError, PostedLeg, Refusal,
    Verdict, WrittenAmount,
};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;
use web::{Caller, IdempotencyKey, Input, Problem};

use crate::App;
use crate::wallets::{self, wallet_not_found};

const PATH: &str = "/v1/transfers";

/// Tells that the answer is one given before.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// Whom to pay, from what, how much.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TransferWish {
    /// One of the caller's wallets.
    #[schema(value_type = String, format = Uuid, pattern = "^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$")]
    from: Uuid,
    /// Anybody's wallet, of the same currency.
    #[schema(value_type = String, format = Uuid, pattern = "^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$")]
    to: Uuid,
    amount: WrittenAmount,
}

/// Money that has moved.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Transfer {
    id: Uuid,
    /// The wallet it left.
    from: Uuid,
    /// The wallet it came to.
    to: Uuid,
    #[schema(value_type = WrittenAmount)]
    amount: Amount,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
}

impl Transfer {
    /// A leg in its owner's terms.
    fn of(wish: &TransferWish, posted: &PostedLeg, at: OffsetDateTime) -> Self {
        Self {
            id: posted.id,
            from: wish.from,
            to: wish.to,
            amount: posted.leg.transfer.amount,
            created_at: at,
        }
    }
}

/// Why there was no transfer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TransferError {
    /// What was written is no amount.
    #[error("reading the amount")]
    Amount(#[source] AmountError),
    /// No such wallet, or not one that the caller may pay from.
    #[error("finding the wallets")]
    WalletNotFound,
    /// An entry has no legs, or too many.
    #[error("an entry has 1 to {} transfers", Chain::MAX_LEGS)]
    Length,
    /// One of several, counted from 0.
    #[error("transfer {0} of an entry")]
    At(usize, #[source] Box<TransferError>),
    /// The key was used for another wish.
    #[error("the idempotency key was used for another request")]
    KeyReused,
    /// The ledger could not take it now.
    #[error("posting a transfer")]
    Post(#[from] PostError),
    /// The database failed us.
    #[error("finding the wallets of a transfer")]
    Database(#[from] sqlx::Error),
}

/// Moves money from one of the caller's wallets to any wallet of the same currency.
///
/// Under one `Idempotency-Key` there is one transfer and one answer: a repetition is answered word
/// for word as the first was (refusals too), with `idempotency-replayed: true`.
#[utoipa::path(
    post, path = PATH, operation_id = "createTransfer", tag = "transfers",
    request_body = TransferWish,
    params((
        "Idempotency-Key" = String, Header, description = "The caller's name for this wish",
        min_length = 1, max_length = 255, pattern = "^[!-~]+$"
    )),
    responses(
        (status = 201, description = "The money has moved", body = Transfer,
            headers(("idempotency-replayed" = bool, description = "`true` on an answer given before"))),
        (status = 404, description = "`wallet_not_found`: not there, or `from` is not the caller's"),
        (status = 409, description = "`idempotency_key_reused`: another request came under this key"),
        (status = 422, description = "`insufficient_funds`, `currency_mismatch`, `same_wallet` or `bad_amount`; nothing moved"),
    ),
)]
pub(crate) async fn create_transfer(
    caller: Caller,
    key: IdempotencyKey,
    State(app): State<Arc<App>>,
    Input(wish): Input<TransferWish>,
) -> Result<Response, TransferError> {
    let amount = wish.amount.read().map_err(TransferError::Amount)?;
    let from = wallets::store::known(&app.pool, wish.from)
        .await?
        .filter(|wallet| wallet.owner == caller.user_id)
        .ok_or(TransferError::WalletNotFound)?;
    let to = wallets::store::known(&app.pool, wish.to)
        .await?
        .ok_or(TransferError::WalletNotFound)?;

    let fingerprint = key.fingerprint(&Method::POST, PATH, &wish);
    // Asked here: whoever posts a batch is no part of this request.
    let request_id = web::request_id();
    let order = Order {
        chain: Chain::one(
            ledger::Transfer {
                debit: from.account,
                credit: to.account,
                amount,
            },
            Code::Transfer,
        ),
        claim: Claim::new(caller.user_id, key.as_str(), fingerprint),
        answer: Box::new(move |verdict| answer(&wish, verdict, request_id.as_deref())),
    };
    settle(&app, order).await
}

/// Has the ledger post it, and answers as it says.
async fn settle(app: &App, order: Order) -> Result<Response, TransferError> {
    match app.teller.post(order).await? {
        Outcome::Fresh(answer) => Ok(respond(answer)),
        Outcome::Replayed(answer) => {
            let mut response = respond(answer);
            response
                .headers_mut()
                .insert(REPLAYED, HeaderValue::from_static("true"));
            Ok(response)
        }
        Outcome::KeyReused => Err(TransferError::KeyReused),
    }
}

/// A transfer that the caller paid or was paid by.
#[utoipa::path(
    get, path = "/v1/transfers/{id}", operation_id = "readTransfer", tag = "transfers",
    params(("id" = Uuid, Path, description = "The transfer")),
    responses(
        (status = 200, description = "The transfer", body = Transfer),
        (status = 404, description = "`not_found`: not there, or none of the caller's"),
    ),
)]
pub(crate) async fn read_transfer(
    caller: Caller,
    id: Result<Path<Uuid>, PathRejection>,
    State(app): State<Arc<App>>,
) -> Result<Json<Transfer>, Problem> {
    let Path(id) = id.map_err(|_| Problem::not_found())?;
    let transfer = store::by_id(&app.pool, id, caller.user_id).await?;
    transfer.map(Json).ok_or_else(Problem::not_found)
}

/// The verdict in the words that are kept, and sent now and for each repetition.
fn answer(wish: &TransferWish, verdict: &Verdict, request_id: Option<&str>) -> Answer {
    match verdict {
        Ok(posted) => created(&Transfer::of(wish, &posted.legs[0], posted.at)),
        Err(why) => problem_answer(refused(why.why), request_id),
    }
}

fn created(made: &impl Serialize) -> Answer {
    Answer {
        status: StatusCode::CREATED.as_u16(),
        body: serde_json::to_vec(made).expect("what is answered is plain data"),
    }
}

fn problem_answer(problem: Problem, request_id: Option<&str>) -> Answer {
    let mut body = serde_json::to_value(&problem).expect("a problem is plain data");
    body["request_id"] = request_id.into();
    Answer {
        status: problem.status().as_u16(),
        body: body.to_string().into_bytes(),
    }
}

fn refused(refusal: Refusal) -> Problem {
    let (code, title) = match refusal {
        Refusal::InsufficientFunds => ("insufficient_funds", "Not enough available"),
        Refusal::CurrencyMismatch => ("currency_mismatch", "Currencies differ"),
        Refusal::SameAccount => ("same_wallet", "From and to are one wallet"),
        Refusal::OutOfRange => ("bad_amount", "Bad amount"),
        // A wallet whose account is gone, which only a damaged database has; to its owner it is not there.
        Refusal::UnknownAccount => return wallet_not_found(),
    };
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, code, title).detail(refusal.to_string())
}

fn respond(Answer { status, body }: Answer) -> Response {
    let status = StatusCode::from_u16(status).expect("kept by `answer`");
    let media_type = if status.is_success() {
        "application/json"
    } else {
        web::MEDIA_TYPE
    };
    let headers = [
        (header::CONTENT_TYPE, media_type),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (status, headers, body).into_response()
}

impl From<TransferError> for Problem {
    fn from(error: TransferError) -> Self {
        match error {
            TransferError::Amount(why) => {
                Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "bad_amount", "Bad amount")
                    .detail(why.to_string())
            }
            TransferError::WalletNotFound => wallet_not_found(),
            TransferError::At(leg, why) => linked::at((*why).into(), leg),
            TransferError::Length => {
                Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "bad_entry", "Bad entry")
                    .detail(error.to_string())
            }
            TransferError::KeyReused => Problem::new(
                StatusCode::CONFLICT,
                "idempotency_key_reused",
                "Idempotency-Key already used",
            )
            .detail("another request came under this key; nothing moved now"),
            TransferError::Post(PostError::Busy) => Problem::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "overloaded",
                "Too many transfers at once",
            )
            .retry_after(1),
            TransferError::Post(_) | TransferError::Database(_) => Problem::internal(error),
        }
    }
}

impl IntoResponse for TransferError {
    fn into_response(self) -> Response {
        Problem::from(self).into_response()
    }
}
