//! Roles: `/v1/roles`, and what they are made of, `GET /v1/permissions`. Whom they are given to is
//! [`assign`].
//!
//! Nobody makes a role that may more than they do, nor adds to one or takes from one what they don't
//! hold: else whoever may manage roles could do everything. `admin` always has every permission, so
//! that no mistake leaves the place without anybody who can mend it.

pub(crate) mod assign;
mod store;

use std::{collections::BTreeSet, sync::Arc};

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use utoipa::ToSchema;
use web::{Caller, Input, Precondition, Problem, page::Page, precondition::tagged};

use crate::{
    App, account,
    audit::{Act, Entry},
    rights::{self, Permission, RightsError},
    step_up::Fresh,
};

/// The role that has every permission.
pub(crate) const ADMIN: &str = "admin";
/// Roles that there may be. With more, nobody knows any longer what each is for.
const MAX_ROLES: i64 = 100;

/// A role's name: a letter, then up to 31 of letters, digits, `_` and `-`, all in lower case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "String")]
#[schema(value_type = String, pattern = "^[a-z][a-z0-9_-]{0,31}$", example = "auditor")]
pub(crate) struct RoleName(String);

/// What a role is for: one line of up to 200 characters.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(try_from = "String")]
#[schema(value_type = String, min_length = 1, max_length = 200, example = "Reads the record")]
pub(crate) struct Description(String);

/// A role to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewRole {
    name: RoleName,
    description: Description,
    #[schema(max_items = 100)]
    permissions: Vec<Permission>,
}

/// What shall be different; what is left out stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RoleChange {
    #[serde(default, deserialize_with = "web::given")]
    #[schema(nullable = false)]
    description: Option<Description>,
    #[serde(default, deserialize_with = "web::given")]
    #[schema(nullable = false, max_items = 100)]
    permissions: Option<Vec<Permission>>,
}

/// A role.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Role {
    name: String,
    description: String,
    /// Whether it came with the product: such a role can't be deleted.
    built_in: bool,
    /// In alphabetical order.
    permissions: Vec<String>,
    #[serde(skip)]
    version: i64,
}

/// Something that a role may let people do.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PermissionView {
    name: String,
    description: String,
}

/// Why roles stay as they are.
#[derive(Debug, Error)]
pub(crate) enum RoleError {
    #[error(transparent)]
    Rights(#[from] RightsError),
    #[error("there is no such role")]
    NotFound,
    #[error("there is a role of this name, or the name is kept for a purpose of ours")]
    Exists,
    #[error("there are {MAX_ROLES} roles, and no more than that can be")]
    TooMany,
    #[error(
        "a role that came with the product can't be deleted, and `admin` keeps every permission"
    )]
    BuiltIn,
    #[error("accounts, service accounts or rules of APIs still name it")]
    InUse,
    #[error(transparent)]
    Above(#[from] rights::Above),
    #[error("what the caller has seen")]
    Precondition(Problem),
    #[error("keeping roles")]
    Store(#[from] sqlx::Error),
}

impl TryFrom<String> for RoleName {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let good =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-".contains(&byte);
        let begins = text
            .bytes()
            .next()
            .is_some_and(|first| first.is_ascii_lowercase());
        if !begins || text.len() > 32 || !text.bytes().all(good) {
            return Err(
                "expected a letter, then up to 31 of letters, digits, _ and -, in lower case",
            );
        }
        Ok(Self(text))
    }
}

impl RoleName {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Description {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let text = text.trim();
        if !(1..=200).contains(&text.chars().count()) || text.chars().any(char::is_control) {
            return Err("expected one line of 1 to 200 characters");
        }
        Ok(Self(text.to_owned()))
    }
}

impl From<Description> for String {
    fn from(text: Description) -> Self {
        text.0
    }
}

/// Everything that a role can let people do.
#[utoipa::path(
    get, path = "/v1/permissions", operation_id = "listPermissions", tag = "rights",
    responses(
        (status = 200, description = "All of them: there are never many", body = Page<PermissionView>),
        (status = 403, description = "The caller may neither manage nor assign roles (`forbidden`)"),
    )
)]
pub(crate) async fn permissions(
    State(app): State<Arc<App>>,
    caller: Caller,
) -> Result<Json<Page<PermissionView>>, RoleError> {
    may_read(&app, &caller)?;
    let items = store::permissions(&app.pool).await?;
    Ok(Json(Page {
        items,
        next_cursor: None,
    }))
}

/// Every role, by name.
#[utoipa::path(
    get, path = "/v1/roles", operation_id = "listRoles", tag = "rights",
    responses(
        (status = 200, description = "All of them: there are never many", body = Page<Role>),
        (status = 403, description = "The caller may neither manage nor assign roles (`forbidden`)"),
    )
)]
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
) -> Result<Json<Page<Role>>, RoleError> {
    may_read(&app, &caller)?;
    let items = store::all(&app.pool, MAX_ROLES).await?;
    Ok(Json(Page {
        items,
        next_cursor: None,
    }))
}

/// One role.
#[utoipa::path(
    get, path = "/v1/roles/{name}", operation_id = "readRole", tag = "rights",
    params(("name" = String, Path, description = "The role")),
    responses(
        (status = 200, description = "The role", body = Role,
            headers(("etag" = String, description = "Its version, for `If-Match`"))),
        (status = 403, description = "The caller may neither manage nor assign roles (`forbidden`)"),
        (status = 404, description = "There is none of this name (`not_found`)"),
    )
)]
pub(crate) async fn read(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<Response, RoleError> {
    may_read(&app, &caller)?;
    let role = store::by_name(&app.pool, &name)
        .await?
        .ok_or(RoleError::NotFound)?;
    Ok(tagged(role.version, role))
}

/// Makes a role. Its name is the wish's own, so a repetition makes no second one.
#[utoipa::path(
    post, path = "/v1/roles", operation_id = "createRole", tag = "rights",
    request_body = NewRole,
    responses(
        (status = 201, description = "The role", body = Role,
            headers(("etag" = String, description = "Its version, for `If-Match`"))),
        (status = 403, description = "`forbidden`, `above_own_rights`, or `second_factor_required`"),
        (status = 409, description = "`role_exists` or `too_many_roles`"),
    )
)]
pub(crate) async fn create(
    State(app): State<Arc<App>>,
    Fresh(caller): Fresh,
    Input(wish): Input<NewRole>,
) -> Result<Response, RoleError> {
    app.rights.require(&caller, Permission::RolesManage)?;
    let mut tx = app.pool.begin().await?;
    let granter = rights::begin_change(&mut tx, &caller, app.clock.now()).await?;
    let permissions = names(&wish.permissions);
    granter.holds(permissions.iter())?;
    if store::count(&mut tx).await? >= MAX_ROLES {
        return Err(RoleError::TooMany);
    }
    let name = wish.name.as_str();
    if name == account::FROZEN_ROLE || !store::create(&mut tx, name, &wish.description.0).await? {
        return Err(RoleError::Exists);
    }
    store::set_permissions(&mut tx, name, &permissions).await?;
    let role = commit(&app, tx, &caller, Act::RoleCreated, name).await?;
    let role = role.ok_or(RoleError::NotFound)?;
    let mut response = tagged(role.version, role);
    *response.status_mut() = StatusCode::CREATED;
    Ok(response)
}

/// Changes what a role is for, or what it lets people do. Everywhere within a second, for tokens that
/// are out as well: they say roles, not permissions.
#[utoipa::path(
    patch, path = "/v1/roles/{name}", operation_id = "changeRole", tag = "rights",
    params(
        ("name" = String, Path, description = "The role"),
        ("If-Match" = String, Header, description = "The ETag that was read")
    ),
    request_body = RoleChange,
    responses(
        (status = 200, description = "The role as it is now", body = Role,
            headers(("etag" = String, description = "Its version, for `If-Match`"))),
        (status = 403, description = "`forbidden`, `above_own_rights`, or `second_factor_required`"),
        (status = 404, description = "There is none of this name (`not_found`)"),
        (status = 409, description = "`built_in_role`: `admin` keeps every permission"),
        (status = 412, description = "It has changed meanwhile (`precondition_failed`)"),
        (status = 428, description = "Without `If-Match` (`precondition_required`)"),
    )
)]
pub(crate) async fn change(
    State(app): State<Arc<App>>,
    Fresh(caller): Fresh,
    Path(name): Path<String>,
    seen: Precondition,
    Input(change): Input<RoleChange>,
) -> Result<Response, RoleError> {
    app.rights.require(&caller, Permission::RolesManage)?;
    let mut tx = app.pool.begin().await?;
    let granter = rights::begin_change(&mut tx, &caller, app.clock.now()).await?;
    let role = store::by_name(&mut *tx, &name)
        .await?
        .ok_or(RoleError::NotFound)?;
    seen.judge(Some(role.version))
        .map_err(RoleError::Precondition)?;
    if let Some(permissions) = change.permissions {
        if name == ADMIN {
            return Err(RoleError::BuiltIn);
        }
        let permissions = names(&permissions);
        let before = role.permissions.into_iter().collect::<BTreeSet<_>>();
        let after = permissions.iter().cloned().collect();
        granter.holds(before.symmetric_difference(&after))?;
        store::set_permissions(&mut tx, &name, &permissions).await?;
    }
    store::describe(
        &mut tx,
        &name,
        change.description.as_ref().map(|text| &*text.0),
    )
    .await?;
    let role = commit(&app, tx, &caller, Act::RoleChanged, &name).await?;
    let role = role.ok_or(RoleError::NotFound)?;
    Ok(tagged(role.version, role))
}

/// Deletes a role that nobody holds and no rule names.
#[utoipa::path(
    delete, path = "/v1/roles/{name}", operation_id = "deleteRole", tag = "rights",
    params(
        ("name" = String, Path, description = "The role"),
        ("If-Match" = String, Header, description = "The ETag that was read")
    ),
    responses(
        (status = 204, description = "It is gone"),
        (status = 403, description = "`forbidden`, `above_own_rights`, or `second_factor_required`"),
        (status = 404, description = "There is none of this name (`not_found`)"),
        (status = 409, description = "`built_in_role` or `role_in_use`"),
        (status = 412, description = "It has changed meanwhile (`precondition_failed`)"),
        (status = 428, description = "Without `If-Match` (`precondition_required`)"),
    )
)]
pub(crate) async fn delete(
    State(app): State<Arc<App>>,
    Fresh(caller): Fresh,
    Path(name): Path<String>,
    seen: Precondition,
) -> Result<StatusCode, RoleError> {
    app.rights.require(&caller, Permission::RolesManage)?;
    let mut tx = app.pool.begin().await?;
    let granter = rights::begin_change(&mut tx, &caller, app.clock.now()).await?;
    let role = store::by_name(&mut *tx, &name)
        .await?
        .ok_or(RoleError::NotFound)?;
    seen.judge(Some(role.version))
        .map_err(RoleError::Precondition)?;
    if role.built_in {
        return Err(RoleError::BuiltIn);
    }
    granter.holds(role.permissions.iter())?;
    if granter.snapshot.names_in_rules(&name) || !store::delete(&mut tx, &name).await? {
        return Err(RoleError::InUse);
    }
    commit(&app, tx, &caller, Act::RoleDeleted, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Writes the change down, makes it known and gives the role as it is then.
async fn commit(
    app: &App,
    mut tx: sqlx::Transaction<'_, sqlx::Postgres>,
    caller: &Caller,
    act: Act,
    name: &str,
) -> Result<Option<Role>, RoleError> {
    let role = store::by_name(&mut *tx, name).await?;
    let entry = Entry::new(act, caller.user_id)
        .session(caller.sid)
        .say("role", name);
    entry.record(&mut tx, app.clock.now()).await?;
    rights::changed(&mut tx).await?;
    tx.commit().await?;
    tracing::info!(user_id = %caller.user_id, role = name, act = act.name(), "a role has changed");
    app.rights.refresh_now(&app.pool).await;
    Ok(role)
}

fn may_read(app: &App, caller: &Caller) -> Result<(), RightsError> {
    let permissions = [Permission::RolesManage, Permission::RolesAssign];
    app.rights.require_any(caller, &permissions)
}

/// The names of permissions, each once.
fn names(permissions: &[Permission]) -> Vec<String> {
    let names = permissions.iter().map(|permission| permission.name());
    let names: BTreeSet<&str> = names.collect();
    names.into_iter().map(str::to_owned).collect()
}

impl From<RoleError> for Problem {
    fn from(error: RoleError) -> Self {
        let conflict =
            |code, title| Problem::new(StatusCode::CONFLICT, code, title).detail(error.to_string());
        match error {
            RoleError::Rights(error) => error.into(),
            RoleError::Above(error) => error.into(),
            RoleError::Precondition(problem) => problem,
            RoleError::NotFound => Problem::not_found(),
            RoleError::Exists => conflict("role_exists", "Name taken"),
            RoleError::TooMany => conflict("too_many_roles", "Too many roles"),
            RoleError::BuiltIn => conflict("built_in_role", "Built-in role"),
            RoleError::InUse => conflict("role_in_use", "Role in use"),
            RoleError::Store(_) => Problem::internal(error),
        }
    }
}

impl IntoResponse for RoleError {
    fn into_response(self) -> Response {
        Problem::from(self).into_response()
    }
}
