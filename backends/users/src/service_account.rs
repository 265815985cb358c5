//! Programs that act for themselves: `/v1/service-accounts`. Somebody who manages services makes one
//! and says what it may ask for, which is never more than they may themselves; gives it keys; and
//! ends it. It proves itself with a key at [`crate::oauth::token`].
//!
//! A secret is shown once, and we keep its SHA-256; of a key pair we know the public half alone.

mod jwk;
pub(crate) mod keys;
mod rules;
pub(crate) mod store;

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State, rejection::PathRejection},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use thiserror::Error;
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;
use web::{Caller, Input, Problem, SignedIn, page::Page};

use crate::{
    App,
    audit::{Act, Entry},
    revocation::{self, Revoked},
    rights::{Permission, RightsError},
    step_up::Fresh,
};
pub(crate) use jwk::PublicJwk;
use rules::{Name, Names};

/// Service accounts that there may be. With more, nobody knows any longer what each is for.
const MAX_ACCOUNTS: i64 = 200;

/// A service account to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ServiceAccountWish {
    name: Name,
    /// The scopes that it may ask for, of those that you could hand on yourself.
    #[serde(default)]
    scopes: Names,
    /// The roles that it may ask for, of your own.
    #[serde(default)]
    roles: Names,
    /// Whether it may ask what the tokens of others are worth (RFC 7662). Default: no.
    #[serde(default)]
    introspects: bool,
}

/// A service account.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ServiceAccountView {
    /// Also its `client_id`.
    id: Uuid,
    name: String,
    scopes: Vec<String>,
    roles: Vec<String>,
    introspects: bool,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    /// The newest last.
    keys: Vec<ServiceKeyView>,
}

/// A key of a service account; never its secret.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ServiceKeyView {
    id: Uuid,
    /// `secret` or `jwk`.
    kind: String,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339::option")]
    expires_at: Option<OffsetDateTime>,
}

/// Why nothing was done.
#[derive(Debug, Error)]
pub(crate) enum ServiceAccountError {
    #[error(transparent)]
    Rights(#[from] RightsError),
    #[error("no such service account, or no such key of it")]
    NotFound,
    #[error("`{0}` is not yours to hand on")]
    NotHeld(String),
    #[error("another service account has this name")]
    NameTaken,
    #[error(
        "there may be {MAX_ACCOUNTS} service accounts at a time, with {} keys each",
        keys::MAX_KEYS
    )]
    TooMany,
    #[error("expires_at must be in the future, and within five years")]
    BadExpiry,
    #[error("drawing a secret")]
    Randomness(#[from] getrandom::Error),
    #[error("keeping service accounts")]
    Store(#[from] sqlx::Error),
}

/// All service accounts, by name.
#[utoipa::path(
    get, path = "/v1/service-accounts", operation_id = "listServiceAccounts", tag = "service accounts",
    responses(
        (status = 200, description = "All of them: there are never many", body = Page<ServiceAccountView>),
        (status = 403, description = "No role of the caller's has `services.manage` (`forbidden`)"),
    )
)]
pub(crate) async fn list_accounts(
    State(app): State<Arc<App>>,
    SignedIn(caller): SignedIn,
) -> Result<Json<Page<ServiceAccountView>>, ServiceAccountError> {
    app.rights.require(&caller, Permission::ServicesManage)?;
    let items = store::all(&app.pool, MAX_ACCOUNTS).await?;
    Ok(Json(Page {
        items,
        next_cursor: None,
    }))
}

/// Makes a service account. It has no key yet. Two can't have one name, so a repeated wish makes no
/// second one.
#[utoipa::path(
    post, path = "/v1/service-accounts", operation_id = "createServiceAccount", tag = "service accounts",
    request_body = ServiceAccountWish,
    responses(
        (status = 201, description = "The service account", body = ServiceAccountView),
        (status = 403, description = "`forbidden`, by another way than a session (`session_required`), or a fresh proof is due (`second_factor_required`)"),
        (status = 409, description = "`name_taken`, or `too_many_service_accounts`"),
        (status = 422, description = "A scope or role that the caller does not hold (`not_held`)"),
    )
)]
pub(crate) async fn create_account(
    State(app): State<Arc<App>>,
    Fresh(caller): Fresh,
    Input(wish): Input<ServiceAccountWish>,
) -> Result<(StatusCode, Json<ServiceAccountView>), ServiceAccountError> {
    app.rights.require(&caller, Permission::ServicesManage)?;
    let now = app.clock.now();
    let view = ServiceAccountView {
        id: Uuid::now_v7(),
        name: wish.name.into(),
        scopes: wish.scopes.into(),
        roles: wish.roles.into(),
        introspects: wish.introspects,
        created_at: now,
        keys: Vec::new(),
    };
    let mut tx = app.pool.begin().await?;
    // By what the database says now: what a token says may be minutes old.
    let wanted = store::Rights {
        scopes: view.scopes.clone(),
        roles: view.roles.clone(),
    };
    store::held(&mut tx, caller.user_id)
        .await?
        .covers(&wanted)?;
    if store::count(&mut tx).await? >= MAX_ACCOUNTS {
        return Err(ServiceAccountError::TooMany);
    }
    store::begin(&mut tx, &view).await.map_err(name_taken)?;
    note(&mut tx, &caller, Act::ServiceAccountCreated, view.id, now).await?;
    tx.commit().await?;
    Ok((StatusCode::CREATED, Json(view)))
}

/// Ends a service account with all of its keys. Its tokens are void within a second.
#[utoipa::path(
    delete, path = "/v1/service-accounts/{id}", operation_id = "deleteServiceAccount", tag = "service accounts",
    params(("id" = Uuid, Path, description = "The service account")),
    responses(
        (status = 204, description = "It is gone"),
        (status = 403, description = "`forbidden`, or by another way than a session (`session_required`)"),
        (status = 404, description = "`not_found`"),
    )
)]
pub(crate) async fn delete_account(
    State(app): State<Arc<App>>,
    SignedIn(caller): SignedIn,
    id: Result<Path<Uuid>, PathRejection>,
) -> Result<StatusCode, ServiceAccountError> {
    app.rights.require(&caller, Permission::ServicesManage)?;
    let Path(id) = id.map_err(|_| ServiceAccountError::NotFound)?;
    let now = app.clock.now();
    let mut tx = app.pool.begin().await?;
    if !store::remove(&mut tx, id).await? {
        return Err(ServiceAccountError::NotFound);
    }
    note(&mut tx, &caller, Act::ServiceAccountDeleted, id, now).await?;
    revocation::revoke(&mut tx, &[Revoked::Subject(id)], now).await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

fn name_taken(error: sqlx::Error) -> ServiceAccountError {
    let taken = error
        .as_database_error()
        .and_then(|error| error.constraint())
        .is_some_and(|constraint| constraint == "service_account_name_key");
    match taken {
        true => ServiceAccountError::NameTaken,
        false => error.into(),
    }
}

/// Writes down who has done it.
async fn note(
    tx: &mut PgConnection,
    caller: &Caller,
    act: Act,
    id: Uuid,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    let entry = Entry::new(act, caller.user_id).session(caller.sid);
    let entry = entry.say("service_account_id", id.to_string());
    entry.record(tx, now).await?;
    let user_id = caller.user_id;
    tracing::info!(%user_id, service_account_id = %id, act = act.name(), "a service account has changed");
    Ok(())
}

impl From<ServiceAccountError> for Problem {
    fn from(error: ServiceAccountError) -> Self {
        let told =
            |status, code, title| Problem::new(status, code, title).detail(error.to_string());
        let (unprocessable, conflict) = (StatusCode::UNPROCESSABLE_ENTITY, StatusCode::CONFLICT);
        match error {
            ServiceAccountError::Rights(error) => error.into(),
            ServiceAccountError::NotFound => Problem::not_found(),
            ServiceAccountError::NotHeld(_) => {
                told(unprocessable, "not_held", "Not yours to hand on")
            }
            ServiceAccountError::NameTaken => told(conflict, "name_taken", "Name taken"),
            ServiceAccountError::TooMany => told(
                conflict,
                "too_many_service_accounts",
                "Too many service accounts or keys",
            ),
            ServiceAccountError::BadExpiry => told(unprocessable, "bad_expiry", "Bad expiry"),
            ServiceAccountError::Randomness(_) | ServiceAccountError::Store(_) => {
                Problem::internal(error)
            }
        }
    }
}

impl IntoResponse for ServiceAccountError {
    fn into_response(self) -> Response {
        Problem::from(self).into_response()
    }
}
