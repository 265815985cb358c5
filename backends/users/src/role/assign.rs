//! Whom roles are given to: `GET` and `PUT /v1/users/{id}/roles`.
//!
//! Nobody gives or takes a role with which one may more than they do, nobody changes their own, and
//! the last admin stays one. Tokens that say the old roles are refused everywhere within a second.

use std::{collections::BTreeSet, sync::Arc};

use axum::{
    extract::{Path, State, rejection::PathRejection},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use utoipa::ToSchema;
use uuid::Uuid;
use web::{Caller, Input, Precondition, Problem, precondition::tagged};

use super::{ADMIN, RoleName, store};
use crate::{
    App, account,
    audit::{Act, Entry},
    revocation::{self, Revoked},
    rights::{self, Above, LastAdmin, Permission, RightsError, Snapshot},
    step_up::Fresh,
};

/// Roles that one account may hold.
const MAX_HELD: usize = 16;
/// One of these says what kind of person an account is of; routes that a frozen account is kept from
/// ask for one of them.
const KINDS: [&str; 3] = ["user", "support", ADMIN];

/// The roles that an account shall hold, and no others.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RolesWish {
    /// Among them `user`, `support` or `admin`.
    #[schema(min_items = 1, max_items = 16)]
    roles: Vec<RoleName>,
    /// Why, for the record.
    #[serde(default, deserialize_with = "web::given")]
    #[schema(nullable = false)]
    reason: Option<super::Description>,
}

/// The roles that an account holds.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct HeldRoles {
    /// In alphabetical order.
    roles: Vec<String>,
    /// What its tokens say of their age.
    perm_ver: i64,
}

/// Why an account keeps the roles that it has.
#[derive(Debug, Error)]
pub(crate) enum AssignError {
    #[error(transparent)]
    Rights(#[from] RightsError),
    #[error("there is no such account")]
    NotFound,
    #[error("nobody changes their own roles")]
    Own,
    #[error("there is no role `{0}`")]
    UnknownRole(String),
    #[error("an account holds `user`, `support` or `admin`, and at most {MAX_HELD} roles")]
    NoKind,
    #[error(transparent)]
    Above(#[from] Above),
    #[error(transparent)]
    LastAdmin(#[from] LastAdmin),
    #[error("what the caller has seen")]
    Precondition(Problem),
    #[error("giving roles")]
    Store(#[from] sqlx::Error),
}

/// The roles of an account.
#[utoipa::path(
    get, path = "/v1/users/{id}/roles", operation_id = "readUserRoles", tag = "rights",
    params(("id" = Uuid, Path, description = "The account")),
    responses(
        (status = 200, description = "Its roles", body = HeldRoles,
            headers(("etag" = String, description = "Their version, for `If-Match`"))),
        (status = 403, description = "The caller may neither read accounts nor assign roles (`forbidden`), or it is somebody who may more (`above_own_rights`)"),
        (status = 404, description = "There is no such account (`not_found`)"),
    )
)]
pub(crate) async fn read(
    State(app): State<Arc<App>>,
    caller: Caller,
    id: Result<Path<Uuid>, PathRejection>,
) -> Result<Response, AssignError> {
    let permissions = [Permission::UsersRead, Permission::RolesAssign];
    app.rights.require_any(&caller, &permissions)?;
    let Path(id) = id.map_err(|_| AssignError::NotFound)?;
    let account = account::store::by_id(&app.pool, id).await?;
    let account = account.ok_or(AssignError::NotFound)?;
    rights::covers(&*app.rights.snapshot()?, &caller, &account.roles_given)?;
    Ok(shown(account.roles_given, account.perm_ver))
}

/// Gives an account these roles and no others.
#[utoipa::path(
    put, path = "/v1/users/{id}/roles", operation_id = "changeUserRoles", tag = "rights",
    params(
        ("id" = Uuid, Path, description = "The account"),
        ("If-Match" = String, Header, description = "The ETag that was read")
    ),
    request_body = RolesWish,
    responses(
        (status = 200, description = "Its roles now", body = HeldRoles,
            headers(("etag" = String, description = "Their version, for `If-Match`"))),
        (status = 403, description = "`forbidden`, `own_account`, `above_own_rights`, or `second_factor_required`"),
        (status = 404, description = "There is no such account (`not_found`)"),
        (status = 409, description = "Nobody would be left who may everything (`last_admin`)"),
        (status = 412, description = "They have changed meanwhile (`precondition_failed`)"),
        (status = 422, description = "`unknown_role` or `bad_roles`"),
        (status = 428, description = "Without `If-Match` (`precondition_required`)"),
    )
)]
pub(crate) async fn change(
    State(app): State<Arc<App>>,
    Fresh(caller): Fresh,
    id: Result<Path<Uuid>, PathRejection>,
    seen: Precondition,
    Input(wish): Input<RolesWish>,
) -> Result<Response, AssignError> {
    app.rights.require(&caller, Permission::RolesAssign)?;
    let Path(id) = id.map_err(|_| AssignError::NotFound)?;
    if id == caller.user_id {
        return Err(AssignError::Own);
    }
    let mut tx = app.pool.begin().await?;
    let granter = rights::begin_change(&mut tx, &caller, app.clock.now()).await?;
    let account = account::store::hold(&mut tx, id).await?;
    let account = account.ok_or(AssignError::NotFound)?;
    // Behind the locks: what was issued while we waited for them is from before.
    let now = app.clock.now();
    seen.judge(Some(account.perm_ver))
        .map_err(AssignError::Precondition)?;
    let before: BTreeSet<String> = account.roles_given.into_iter().collect();
    let after = judge(&granter.snapshot, &wish.roles)?;
    granter.covers(before.symmetric_difference(&after))?;
    if before == after {
        return Ok(shown(after.into_iter().collect(), account.perm_ver));
    }
    if before.contains(ADMIN) && !after.contains(ADMIN) {
        rights::last_admin(&mut tx, id, now).await?;
    }
    let roles: Vec<String> = after.into_iter().collect();
    let perm_ver = store::hold_roles(&mut tx, id, &roles, now).await?;
    let mut entry = Entry::new(Act::RolesChanged, id)
        .by(caller.user_id)
        .session(caller.sid)
        .say("roles", roles.clone());
    if let Some(reason) = wish.reason {
        entry = entry.say("reason", reason.0);
    }
    entry.record(&mut tx, now).await?;
    revocation::revoke(&mut tx, &[Revoked::Subject(id)], now).await?;
    tx.commit().await?;
    tracing::info!(user_id = %caller.user_id, account_id = %id, "the roles of an account have changed");
    Ok(shown(roles, perm_ver))
}

/// The roles of a wish, each once, if an account may hold them.
pub(crate) fn judge(
    snapshot: &Snapshot,
    wish: &[RoleName],
) -> Result<BTreeSet<String>, AssignError> {
    let roles: BTreeSet<String> = wish.iter().map(|role| role.as_str().to_owned()).collect();
    if let Some(unknown) = roles
        .iter()
        .find(|role| !snapshot.roles.contains_key(*role))
    {
        return Err(AssignError::UnknownRole(unknown.clone()));
    }
    let has_kind = KINDS.iter().any(|kind| roles.contains(*kind));
    if !has_kind || roles.len() > MAX_HELD {
        return Err(AssignError::NoKind);
    }
    Ok(roles)
}

fn shown(roles: Vec<String>, perm_ver: i64) -> Response {
    tagged(perm_ver, HeldRoles { roles, perm_ver })
}

impl From<AssignError> for Problem {
    fn from(error: AssignError) -> Self {
        let unprocessable = |code, title| {
            Problem::new(StatusCode::UNPROCESSABLE_ENTITY, code, title).detail(error.to_string())
        };
        match error {
            AssignError::Rights(error) => error.into(),
            AssignError::Above(error) => error.into(),
            AssignError::LastAdmin(error) => error.into(),
            AssignError::Precondition(problem) => problem,
            AssignError::NotFound => Problem::not_found(),
            AssignError::Own => {
                Problem::new(StatusCode::FORBIDDEN, "own_account", "Your own account")
                    .detail(error.to_string())
            }
            AssignError::UnknownRole(_) => unprocessable("unknown_role", "Unknown role"),
            AssignError::NoKind => unprocessable("bad_roles", "Bad roles"),
            AssignError::Store(_) => Problem::internal(error),
        }
    }
}

impl IntoResponse for AssignError {
    fn into_response(self) -> Response {
        Problem::from(self).into_response()
    }
}
