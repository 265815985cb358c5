//! Keys for programs: `/v1/me/api-keys`. A person makes them, names them, narrows them, rotates them
//! and takes them back; the gateway asks what one is worth ([`resolve`]).
//!
//! A key is `gk_live_<id of the secret>_<secret><checksum>` and is shown once. We keep its SHA-256. It holds no
//! role: what it may do is its scopes, as far as its owner may hand them on at the time of use. It
//! manages no keys: that takes somebody who is signed in, and a fresh proof where it gives more than it
//! takes.
//!
//! A lost answer is given again under its `Idempotency-Key` for a day, see [`wish`].

pub(crate) mod resolve;
mod rules;
pub(crate) mod store;
pub(crate) mod wish;

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State, rejection::PathRejection},
    http::{HeaderValue, Method, StatusCode},
    response::{IntoResponse, Response},
};
use events::Notice;
use identity::ApiKey;
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use thiserror::Error;
use time::{Duration, OffsetDateTime};
use utoipa::ToSchema;
use uuid::Uuid;
use web::{Caller, IdempotencyKey, Input, Problem, SignedIn, page::Page};

use crate::{
    App, account,
    audit::{Act, Entry},
    notice,
    revocation::{self, Revoked},
    step_up::Fresh,
};
use rules::{Name, Networks, Scopes};
use wish::Wish;

/// What every key of ours begins with.
const PREFIX: &str = "gk_live_";
/// Keys that a person may have. With more, nobody knows any longer what each is for.
const MAX_KEYS: i64 = 20;
/// The longest that an old secret is good beside the new one.
const MAX_OVERLAP: Duration = Duration::days(7);
/// How long it is when nobody says.
const OVERLAP_S: u32 = 24 * 60 * 60;
/// The latest that a key may expire.
const MAX_LIFETIME: Duration = Duration::days(5 * 366);

/// A key to be.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ApiKeyWish {
    name: Name,
    scopes: Scopes,
    /// Where it is good from. Default: anywhere.
    #[serde(default)]
    networks: Networks,
    /// From when on it is void. Default: never.
    #[serde(default, with = "time::serde::rfc3339::option")]
    #[schema(nullable = false)]
    expires_at: Option<OffsetDateTime>,
}

/// What shall be different; what is left out stays.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ApiKeyChange {
    #[serde(default, deserialize_with = "web::given")]
    #[schema(nullable = false)]
    name: Option<Name>,
    #[serde(default, deserialize_with = "web::given")]
    #[schema(nullable = false)]
    scopes: Option<Scopes>,
    #[serde(default, deserialize_with = "web::given")]
    #[schema(nullable = false)]
    networks: Option<Networks>,
}

/// How a key gets its new secret.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rotation {
    /// How long the old secret is good beside the new one, in seconds. Default: a day.
    #[serde(default = "overlap_s")]
    #[schema(maximum = 604_800, default = 86_400)]
    overlap_s: u32,
}

fn overlap_s() -> u32 {
    OVERLAP_S
}

/// A key as its owner sees it; never its secret.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ApiKeyView {
    id: Uuid,
    name: String,
    scopes: Vec<String>,
    networks: Vec<String>,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339::option")]
    expires_at: Option<OffsetDateTime>,
    /// To some minutes.
    #[serde(with = "time::serde::rfc3339::option")]
    last_used_at: Option<OffsetDateTime>,
    /// Names its present secret: the id in the key's text.
    secret_id: Uuid,
    /// Until when the secret before this one is good, while the key is being rotated.
    #[serde(with = "time::serde::rfc3339::option")]
    previous_until: Option<OffsetDateTime>,
}

/// A key with its secret: the one time that it is shown.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewApiKey {
    /// What the program sends in `x-api-key`.
    #[schema(pattern = "^gk_live_[0-9a-f]{32}_[0-9A-Za-z]{49}$")]
    key: String,
    #[schema(value_type = ApiKeyView)]
    api_key: serde_json::Value,
}

/// Why nothing was done to a key.
#[derive(Debug, Error)]
pub(crate) enum ApiKeyError {
    #[error("the caller's account is gone")]
    Gone,
    #[error("no such key of the caller's")]
    NotFound,
    #[error("the scope `{0}` is not the caller's to hand on")]
    ScopeNotHeld(String),
    #[error("expires_at must be in the future, and within five years")]
    BadExpiry,
    #[error("overlap_s is at most {}", MAX_OVERLAP.whole_seconds())]
    LongOverlap,
    #[error("there may be {MAX_KEYS} keys at a time")]
    TooMany,
    #[error("the idempotency key was used for another request")]
    KeyReused,
    #[error("drawing a secret")]
    Randomness(#[from] getrandom::Error),
    #[error("keeping API keys")]
    Store(#[from] sqlx::Error),
}

/// The caller's keys, oldest first.
#[utoipa::path(
    get, path = "/v1/me/api-keys", operation_id = "listApiKeys", tag = "me",
    responses(
        (status = 200, description = "All of them: there are never many", body = Page<ApiKeyView>),
        (status = 403, description = "By a key, or another way without a session (`session_required`)"),
    )
)]
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    SignedIn(caller): SignedIn,
) -> Result<Json<Page<ApiKeyView>>, ApiKeyError> {
    let items = store::of_account(&app.pool, caller.user_id, app.clock.now(), MAX_KEYS).await?;
    Ok(Json(Page {
        items,
        next_cursor: None,
    }))
}

/// Makes a key. The answer shows it, and nothing ever shows it again; under the same
/// `Idempotency-Key` the same answer is given for a day, with `idempotency-replayed: true`.
#[utoipa::path(
    post, path = "/v1/me/api-keys", operation_id = "createApiKey", tag = "me",
    request_body = ApiKeyWish,
    params((
        "Idempotency-Key" = String, Header, description = "The caller's name for this wish",
        min_length = 1, max_length = 255, pattern = "^[!-~]+$"
    )),
    responses(
        (status = 201, description = "The key", body = NewApiKey,
            headers(("idempotency-replayed" = bool, description = "`true` on an answer given before"))),
        (status = 403, description = "A fresh proof is due (`second_factor_required`), or there is no session (`session_required`)"),
        (status = 409, description = "`idempotency_key_reused`, or `too_many_api_keys`"),
        (status = 422, description = "`scope_not_held` or `bad_expiry`"),
    )
)]
pub(crate) async fn create(
    State(app): State<Arc<App>>,
    Fresh(caller): Fresh,
    key: IdempotencyKey,
    Input(input): Input<ApiKeyWish>,
) -> Result<Response, ApiKeyError> {
    let now = app.clock.now();
    let wish = Wish::new(&caller, &key, Method::POST, "/v1/me/api-keys", &input);
    let mut tx = app.pool.begin().await?;
    let held = held_scopes(&mut tx, &caller).await?;
    if let Some(answer) = wish.answered(&app.api_keys, &mut tx, now).await? {
        return Ok(shown(answer, StatusCode::CREATED, true));
    }
    input.scopes.within(&held)?;
    judge_expiry(input.expires_at, now)?;
    if store::count(&mut tx, caller.user_id, now).await? >= MAX_KEYS {
        return Err(ApiKeyError::TooMany);
    }
    let name: String = input.name.into();
    let view = ApiKeyView {
        id: Uuid::now_v7(),
        name: name.clone(),
        scopes: input.scopes.into(),
        networks: input.networks.into(),
        created_at: now,
        expires_at: input.expires_at,
        last_used_at: None,
        secret_id: Uuid::now_v7(),
        previous_until: None,
    };
    store::begin(&mut tx, caller.user_id, &view).await?;
    let answer = issue(&app, &mut tx, wish, view, now).await?;
    note(&mut tx, &caller, Act::ApiKeyCreated, answer.id, now).await?;
    if let Some(account) = account::store::by_id(&mut *tx, caller.user_id).await? {
        notice::tell(&mut tx, &account, Notice::ApiKeyCreated, Some(&name), now).await?;
    }
    tx.commit().await?;
    Ok(shown(answer.body, StatusCode::CREATED, false))
}

/// Changes a key's name, scopes or networks. The edge knows within the time for which it remembers
/// keys, half a minute as shipped.
#[utoipa::path(
    patch, path = "/v1/me/api-keys/{id}", operation_id = "changeApiKey", tag = "me",
    params(("id" = Uuid, Path, description = "The key")),
    request_body = ApiKeyChange,
    responses(
        (status = 200, description = "The key as it is now", body = ApiKeyView),
        (status = 403, description = "A fresh proof is due (`second_factor_required`), or there is no session (`session_required`)"),
        (status = 404, description = "`not_found`: not there, or not the caller's"),
        (status = 422, description = "`scope_not_held`"),
    )
)]
pub(crate) async fn change(
    State(app): State<Arc<App>>,
    Fresh(caller): Fresh,
    id: Result<Path<Uuid>, PathRejection>,
    Input(input): Input<ApiKeyChange>,
) -> Result<Json<ApiKeyView>, ApiKeyError> {
    let Path(id) = id.map_err(|_| ApiKeyError::NotFound)?;
    let now = app.clock.now();
    let mut tx = app.pool.begin().await?;
    let held = held_scopes(&mut tx, &caller).await?;
    if let Some(scopes) = &input.scopes {
        scopes.within(&held)?;
    }
    let (name, scopes): (Option<String>, Option<Vec<String>>) =
        (input.name.map(Into::into), input.scopes.map(Into::into));
    let change = store::Change {
        name: name.as_deref(),
        scopes: scopes.as_deref(),
        networks: input.networks.map(Vec::from),
    };
    if !store::change(&mut tx, caller.user_id, id, &change, now).await? {
        return Err(ApiKeyError::NotFound);
    }
    let view = store::by_id(&mut tx, caller.user_id, id, now)
        .await?
        .ok_or(ApiKeyError::NotFound)?;
    note(&mut tx, &caller, Act::ApiKeyChanged, id, now).await?;
    tx.commit().await?;
    Ok(Json(view))
}

/// Takes a key back. What is left of it is the record.
#[utoipa::path(
    delete, path = "/v1/me/api-keys/{id}", operation_id = "revokeApiKey", tag = "me",
    params(("id" = Uuid, Path, description = "The key")),
    responses(
        (status = 204, description = "The key is void"),
        (status = 403, description = "By a key, or another way without a session (`session_required`)"),
        (status = 404, description = "`not_found`: not there, or not the caller's"),
    )
)]
pub(crate) async fn revoke(
    State(app): State<Arc<App>>,
    SignedIn(caller): SignedIn,
    id: Result<Path<Uuid>, PathRejection>,
) -> Result<StatusCode, ApiKeyError> {
    let Path(id) = id.map_err(|_| ApiKeyError::NotFound)?;
    let now = app.clock.now();
    let mut tx = app.pool.begin().await?;
    // A rotation under way ends first: gateways must be told of the secret that it makes as well.
    let owner = account::store::hold(&mut tx, caller.user_id).await?;
    owner.ok_or(ApiKeyError::Gone)?;
    let ended = store::secrets_of(&mut tx, caller.user_id, id).await?;
    if !store::remove(&mut tx, caller.user_id, id).await? {
        return Err(ApiKeyError::NotFound);
    }
    note(&mut tx, &caller, Act::ApiKeyRevoked, id, now).await?;
    revocation::revoke(&mut tx, &void(ended), now).await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Gives a key a new secret; the old one is good for a while beside it, so that programs change
/// without a pause. A secret older than that one ends now. Repeated like `createApiKey`.
#[utoipa::path(
    post, path = "/v1/me/api-keys/{id}/rotate", operation_id = "rotateApiKey", tag = "me",
    params(
        ("id" = Uuid, Path, description = "The key"),
        ("Idempotency-Key" = String, Header, description = "The caller's name for this wish",
            min_length = 1, max_length = 255, pattern = "^[!-~]+$")
    ),
    request_body = Rotation,
    responses(
        (status = 200, description = "The key with its new secret", body = NewApiKey,
            headers(("idempotency-replayed" = bool, description = "`true` on an answer given before"))),
        (status = 403, description = "A fresh proof is due (`second_factor_required`), or there is no session (`session_required`)"),
        (status = 404, description = "`not_found`: not there, or not the caller's"),
        (status = 409, description = "`idempotency_key_reused`"),
        (status = 422, description = "`bad_overlap`"),
    )
)]
pub(crate) async fn rotate(
    State(app): State<Arc<App>>,
    Fresh(caller): Fresh,
    id: Result<Path<Uuid>, PathRejection>,
    key: IdempotencyKey,
    Input(input): Input<Rotation>,
) -> Result<Response, ApiKeyError> {
    let Path(id) = id.map_err(|_| ApiKeyError::NotFound)?;
    let now = app.clock.now();
    let path = format!("/v1/me/api-keys/{id}/rotate");
    let wish = Wish::new(&caller, &key, Method::POST, &path, &input);
    let mut tx = app.pool.begin().await?;
    held_scopes(&mut tx, &caller).await?;
    if let Some(answer) = wish.answered(&app.api_keys, &mut tx, now).await? {
        return Ok(shown(answer, StatusCode::OK, true));
    }
    let overlap = Duration::seconds(input.overlap_s.into());
    if overlap > MAX_OVERLAP {
        return Err(ApiKeyError::LongOverlap);
    }
    let mut view = store::by_id(&mut tx, caller.user_id, id, now)
        .await?
        .ok_or(ApiKeyError::NotFound)?;
    let ended = store::end_secrets(&mut tx, id, now, now + overlap).await?;
    view.secret_id = Uuid::now_v7();
    view.previous_until = (!overlap.is_zero()).then(|| now + overlap);
    let answer = issue(&app, &mut tx, wish, view, now).await?;
    note(&mut tx, &caller, Act::ApiKeyRotated, id, now).await?;
    revocation::revoke(&mut tx, &void(ended), now).await?;
    tx.commit().await?;
    Ok(shown(answer.body, StatusCode::OK, false))
}

/// Ends every key of an account, and gives what is to be revoked with them. To be done behind the
/// account.
pub(crate) async fn end_all(
    tx: &mut PgConnection,
    account_id: Uuid,
) -> Result<Vec<Revoked>, sqlx::Error> {
    Ok(void(store::remove_all(tx, account_id).await?))
}

fn void(secrets: Vec<Uuid>) -> Vec<Revoked> {
    secrets.into_iter().map(Revoked::ApiKey).collect()
}

fn judge_expiry(
    expires_at: Option<OffsetDateTime>,
    now: OffsetDateTime,
) -> Result<(), ApiKeyError> {
    let good = |at: OffsetDateTime| now < at && at <= now + MAX_LIFETIME;
    expires_at
        .is_none_or(good)
        .then_some(())
        .ok_or(ApiKeyError::BadExpiry)
}

/// What the caller may hand on to a key. Holds the account until the commit, so that two wishes of
/// one person are judged one after the other.
async fn held_scopes(tx: &mut PgConnection, caller: &Caller) -> Result<Vec<String>, ApiKeyError> {
    let owner = account::store::hold(tx, caller.user_id).await?;
    owner.ok_or(ApiKeyError::Gone)?;
    Ok(store::scopes_of(tx, caller.user_id).await?)
}

struct Issued {
    id: Uuid,
    body: NewApiKey,
}

/// Draws a secret, keeps what there is to keep of it, and the answer for its repetitions.
async fn issue(
    app: &App,
    tx: &mut PgConnection,
    wish: Wish<'_>,
    view: ApiKeyView,
    now: OffsetDateTime,
) -> Result<Issued, ApiKeyError> {
    let (id, secret_id) = (view.id, view.secret_id);
    let answer = serde_json::to_value(&view).expect("a view is plain data");
    let (key, hash) = wish
        .keep(&app.api_keys, tx, secret_id, &answer, now)
        .await?;
    store::add_secret(tx, id, secret_id, &hash, now).await?;
    Ok(Issued {
        id,
        body: NewApiKey {
            key,
            api_key: answer,
        },
    })
}

fn shown(answer: NewApiKey, status: StatusCode, replayed: bool) -> Response {
    let mut response = (status, Json(answer)).into_response();
    if replayed {
        let yes = HeaderValue::from_static("true");
        response.headers_mut().insert("idempotency-replayed", yes);
    }
    response
}

async fn note(
    tx: &mut PgConnection,
    caller: &Caller,
    act: Act,
    id: Uuid,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    let user_id = caller.user_id;
    let entry = Entry::new(act, user_id).session(caller.sid).api_key(id);
    entry.record(tx, now).await?;
    tracing::info!(%user_id, api_key_id = %id, act = act.name(), "an API key has changed");
    Ok(())
}

/// The key's text of a secret's id and bits, and what is kept of it.
fn written(id: Uuid, secret: &[u8; 32]) -> (String, [u8; 32]) {
    let text = ApiKey::write(PREFIX, &id.simple().to_string(), secret);
    let hash = ApiKey::parse(&text, PREFIX)
        .expect("what is written is read")
        .hash();
    (text, hash)
}

impl From<ApiKeyError> for Problem {
    fn from(error: ApiKeyError) -> Self {
        let unprocessable = |code, title| {
            Problem::new(StatusCode::UNPROCESSABLE_ENTITY, code, title).detail(error.to_string())
        };
        match error {
            ApiKeyError::Gone => Problem::unauthenticated(),
            ApiKeyError::NotFound => Problem::not_found(),
            ApiKeyError::ScopeNotHeld(_) => unprocessable("scope_not_held", "Not yours to hand on"),
            ApiKeyError::BadExpiry => unprocessable("bad_expiry", "Bad expiry"),
            ApiKeyError::LongOverlap => unprocessable("bad_overlap", "Bad overlap"),
            ApiKeyError::TooMany => Problem::new(
                StatusCode::CONFLICT,
                "too_many_api_keys",
                "Too many API keys",
            )
            .detail(error.to_string()),
            ApiKeyError::KeyReused => Problem::new(
                StatusCode::CONFLICT,
                "idempotency_key_reused",
                "Idempotency-Key already used",
            )
            .detail("another request came under this key; nothing was made now"),
            ApiKeyError::Randomness(_) | ApiKeyError::Store(_) => Problem::internal(error),
        }
    }
}

impl IntoResponse for ApiKeyError {
    fn into_response(self) -> Response {
        Problem::from(self).into_response()
    }
}
