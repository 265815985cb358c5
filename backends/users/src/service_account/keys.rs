//! What service accounts prove themselves by: `/v1/service-accounts/{id}/keys`. A second key beside
//! the first makes a change without a pause.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State, rejection::PathRejection},
    http::StatusCode,
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use time::{Duration, OffsetDateTime};
use utoipa::ToSchema;
use uuid::Uuid;
use web::{Input, SignedIn};

use super::{PublicJwk, ServiceAccountError, ServiceKeyView, note, store};
use crate::{
    App,
    audit::Act,
    revocation::{self, Revoked},
    rights::Permission,
    step_up::Fresh,
};

/// Keys that a service account may have: the present one, the next, and some of its replicas' own.
pub(super) const MAX_KEYS: i64 = 10;
/// The latest that a key may expire.
const MAX_LIFETIME: Duration = Duration::days(5 * 366);

/// A key to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ServiceKeyWish {
    /// The public half of the service's own key. Left out: a secret is made.
    #[serde(default)]
    #[schema(nullable = false)]
    jwk: Option<PublicJwk>,
    /// From when on it is void. Default: never.
    #[serde(default, with = "time::serde::rfc3339::option")]
    #[schema(nullable = false)]
    expires_at: Option<OffsetDateTime>,
}

/// A new key.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewServiceKey {
    /// The `client_secret`: the one time that it is shown. There is none where a `jwk` was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, pattern = "^sk_[0-9A-Za-z_-]{43}$")]
    client_secret: Option<String>,
    key: ServiceKeyView,
}

/// What a key is kept as.
pub(super) enum Proof {
    Secret([u8; 32]),
    Jwk(serde_json::Value),
}

/// Gives a service account another key. A secret whose answer was lost is taken back, and another
/// one made.
#[utoipa::path(
    post, path = "/v1/service-accounts/{id}/keys", operation_id = "createServiceKey", tag = "service accounts",
    params(("id" = Uuid, Path, description = "The service account")),
    request_body = ServiceKeyWish,
    responses(
        (status = 201, description = "The key", body = NewServiceKey),
        (status = 403, description = "`forbidden`, by another way than a session (`session_required`), or a fresh proof is due (`second_factor_required`)"),
        (status = 404, description = "`not_found`"),
        (status = 409, description = "`too_many_service_accounts`"),
        (status = 422, description = "`bad_expiry`, or it may do more than the caller (`not_held`)"),
    )
)]
pub(crate) async fn create_key(
    State(app): State<Arc<App>>,
    Fresh(caller): Fresh,
    id: Result<Path<Uuid>, PathRejection>,
    Input(wish): Input<ServiceKeyWish>,
) -> Result<(StatusCode, Json<NewServiceKey>), ServiceAccountError> {
    app.rights.require(&caller, Permission::ServicesManage)?;
    let Path(id) = id.map_err(|_| ServiceAccountError::NotFound)?;
    let now = app.clock.now();
    let good = |at: OffsetDateTime| now < at && at <= now + MAX_LIFETIME;
    if !wish.expires_at.is_none_or(good) {
        return Err(ServiceAccountError::BadExpiry);
    }
    let mut tx = app.pool.begin().await?;
    if !store::lock(&mut tx, id).await? {
        return Err(ServiceAccountError::NotFound);
    }
    // A key is the account: who may not make it may not become it either.
    store::held(&mut tx, caller.user_id)
        .await?
        .covers(&store::rights_of(&mut tx, id).await?)?;
    if store::count_keys(&mut tx, id).await? >= MAX_KEYS {
        return Err(ServiceAccountError::TooMany);
    }
    let (client_secret, kind, proof) = match wish.jwk {
        Some(jwk) => {
            let jwk = serde_json::to_value(jwk).expect("a key is plain data");
            (None, "jwk", Proof::Jwk(jwk))
        }
        None => {
            let mut bits = [0; 32];
            getrandom::fill(&mut bits)?;
            let secret = format!("sk_{}", BASE64_URL_SAFE_NO_PAD.encode(bits));
            let hash = Sha256::digest(&secret).into();
            (Some(secret), "secret", Proof::Secret(hash))
        }
    };
    let key = ServiceKeyView {
        id: Uuid::now_v7(),
        kind: kind.to_owned(),
        created_at: now,
        expires_at: wish.expires_at,
    };
    store::add_key(&mut tx, id, &key, &proof).await?;
    note(&mut tx, &caller, Act::ServiceKeyCreated, id, now).await?;
    tx.commit().await?;
    Ok((
        StatusCode::CREATED,
        Json(NewServiceKey { client_secret, key }),
    ))
}

/// Takes a key back. The tokens that the service account has are void within a second; with another
/// key it has new ones at once.
#[utoipa::path(
    delete, path = "/v1/service-accounts/{id}/keys/{key_id}", operation_id = "deleteServiceKey", tag = "service accounts",
    params(
        ("id" = Uuid, Path, description = "The service account"),
        ("key_id" = Uuid, Path, description = "Its key"),
    ),
    responses(
        (status = 204, description = "The key is void"),
        (status = 403, description = "`forbidden`, or by another way than a session (`session_required`)"),
        (status = 404, description = "`not_found`"),
    )
)]
pub(crate) async fn delete_key(
    State(app): State<Arc<App>>,
    SignedIn(caller): SignedIn,
    ids: Result<Path<(Uuid, Uuid)>, PathRejection>,
) -> Result<StatusCode, ServiceAccountError> {
    app.rights.require(&caller, Permission::ServicesManage)?;
    let Path((id, key_id)) = ids.map_err(|_| ServiceAccountError::NotFound)?;
    let now = app.clock.now();
    let mut tx = app.pool.begin().await?;
    if !store::remove_key(&mut tx, id, key_id).await? {
        return Err(ServiceAccountError::NotFound);
    }
    note(&mut tx, &caller, Act::ServiceKeyDeleted, id, now).await?;
    revocation::revoke(&mut tx, &[Revoked::Subject(id)], now).await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}
