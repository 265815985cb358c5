//! What a key is worth: `POST /internal/v1/api-keys/resolve`, asked by gateways alone.
//!
//! They send the id in the key's text and the SHA-256 of its text, never the key. A key that was never there,
//! was taken back, has expired, or whose owner may not come in is one and the same 404.

use std::sync::Arc;

use axum::{Json, extract::State};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use time::Duration;
use uuid::Uuid;
use web::{Gateway, Input, Problem};

use super::store;
use crate::App;

/// Between two notes of a key's use: a row is not written for every one.
const LAST_USE_EVERY: Duration = Duration::minutes(10);

/// The key asked about.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Question {
    /// The id in its text.
    id: String,
    /// SHA-256 of its text, as base64url.
    hash: String,
}

/// Who a good key speaks for. It holds no roles.
#[derive(Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Resolved {
    /// Its owner.
    sub: Uuid,
    /// What it may do, today.
    scopes: Vec<String>,
    /// The id in its text: names it where it is revoked, and in records.
    key: Uuid,
    /// As of when this is true, in Unix seconds.
    issued_at: i64,
    /// From when on it is void, in Unix seconds.
    expires_at: Option<i64>,
    /// Address blocks that it is good from; anywhere when there are none.
    networks: Vec<String>,
}

/// Tells whom a key speaks for. For gateways alone, so it is in no document.
pub(crate) async fn resolve(
    State(app): State<Arc<App>>,
    _: Gateway,
    Input(question): Input<Question>,
) -> Result<Json<Resolved>, Problem> {
    let id = Uuid::try_parse(&question.id).map_err(|_| Problem::not_found())?;
    let hash = BASE64_URL_SAFE_NO_PAD.decode(&question.hash);
    let hash = hash.map_err(|_| Problem::not_found())?;
    let now = app.clock.now();
    let good = store::resolve(&app.pool, id, &hash, now).await?;
    let good = good.ok_or_else(Problem::not_found)?;
    // Asked again and again as long as the key is in use, so a note that fails is made up for.
    if let Err(error) = store::note_use(&app.pool, good.api_key_id, now, LAST_USE_EVERY).await {
        tracing::warn!(api_key_id = %good.api_key_id, %error, "the use of an API key was not noted");
    }
    let ends = [good.expires_at, good.ends_at].into_iter().flatten().min();
    Ok(Json(Resolved {
        sub: good.account_id,
        scopes: good.scopes,
        key: id,
        issued_at: now.unix_timestamp(),
        expires_at: ends.map(|at| at.unix_timestamp()),
        networks: good.networks,
    }))
}
