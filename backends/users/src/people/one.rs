//! One account: `GET`, `PATCH` and `DELETE /v1/users/{id}`.

use std::sync::Arc;

use axum::{
    extract::{Path, State, rejection::PathRejection},
    http::StatusCode,
    response::Response,
};
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;
use web::{Caller, Input, Precondition, precondition::tagged};

use super::{PeopleError, Person, moderate, standing::Verb, store};
use crate::{
    App,
    audit::{Act, Entry},
    rights::{self, Permission},
    step_up::Fresh,
};

/// What shall be different; what is left out stays. Everything else about an account has a way of its
/// own: roles, standing, and contacts, which their owner proves.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PersonChange {
    /// What they are called; null for nothing.
    #[serde(default, deserialize_with = "web::given")]
    name: Option<Option<PersonName>>,
}

/// What somebody is called: one line of up to 100 characters.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(try_from = "String")]
#[schema(value_type = String, min_length = 1, max_length = 100, example = "Ann Lee")]
pub(crate) struct PersonName(pub(super) String);

impl TryFrom<String> for PersonName {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let text = text.trim();
        if !(1..=100).contains(&text.chars().count()) || text.chars().any(char::is_control) {
            return Err("expected one line of 1 to 100 characters");
        }
        Ok(Self(text.to_owned()))
    }
}

/// An account. In full for those who hold `users.read_pii`, which is recorded; masked for others.
#[utoipa::path(
    get, path = "/v1/users/{id}", operation_id = "readUser", tag = "users",
    params(("id" = Uuid, Path, description = "The account")),
    responses(
        (status = 200, description = "The account", body = Person,
            headers(("etag" = String, description = "Its version, for `If-Match`"))),
        (status = 403, description = "Without the permission to (`forbidden`), or somebody who may more (`above_own_rights`)"),
        (status = 404, description = "There is no such account (`not_found`)"),
    )
)]
pub(crate) async fn read(
    State(app): State<Arc<App>>,
    caller: Caller,
    id: Result<Path<Uuid>, PathRejection>,
) -> Result<Response, PeopleError> {
    app.rights.require(&caller, Permission::UsersRead)?;
    let Path(id) = id.map_err(|_| PeopleError::NotFound)?;
    let now = app.clock.now();
    let mut tx = app.pool.begin().await?;
    let person = store::by_id(&mut *tx, id, now).await?;
    let mut person = person.ok_or(PeopleError::NotFound)?;
    rights::covers(&*app.rights.snapshot()?, &caller, &person.roles)?;
    if app
        .rights
        .require(&caller, Permission::UsersReadPii)
        .is_ok()
    {
        let entry = Entry::new(Act::PersonalDataRead, id).by(caller.user_id);
        entry.session(caller.sid).record(&mut tx, now).await?;
    } else {
        person = person.mask();
    }
    tx.commit().await?;
    Ok(tagged(person.version, person))
}

/// Changes what an account says of its owner. Nobody changes the account of somebody who may more
/// than they do.
#[utoipa::path(
    patch, path = "/v1/users/{id}", operation_id = "changeUser", tag = "users",
    params(
        ("id" = Uuid, Path, description = "The account"),
        ("If-Match" = String, Header, description = "The ETag that was read")
    ),
    request_body = PersonChange,
    responses(
        (status = 200, description = "The account as it is now, masked", body = Person,
            headers(("etag" = String, description = "Its version, for `If-Match`"))),
        (status = 403, description = "`forbidden` or `above_own_rights`"),
        (status = 404, description = "There is no such account (`not_found`)"),
        (status = 412, description = "It has changed meanwhile (`precondition_failed`)"),
        (status = 428, description = "Without `If-Match` (`precondition_required`)"),
    )
)]
pub(crate) async fn change(
    State(app): State<Arc<App>>,
    caller: Caller,
    id: Result<Path<Uuid>, PathRejection>,
    seen: Precondition,
    Input(change): Input<PersonChange>,
) -> Result<Response, PeopleError> {
    app.rights.require(&caller, Permission::UsersEdit)?;
    let Path(id) = id.map_err(|_| PeopleError::NotFound)?;
    let now = app.clock.now();
    let mut tx = app.pool.begin().await?;
    let granter = rights::begin_change(&mut tx, &caller, now).await?;
    let person = store::by_id(&mut *tx, id, now).await?;
    let person = person.ok_or(PeopleError::NotFound)?;
    seen.judge(Some(person.version))
        .map_err(PeopleError::Refused)?;
    granter.covers(&person.roles)?;
    if let Some(name) = change.name {
        let name = name.as_ref().map(|name| name.0.as_str());
        store::rename(&mut tx, id, name).await?;
        let entry = Entry::new(Act::ProfileChanged, id).by(caller.user_id);
        entry.session(caller.sid).record(&mut tx, now).await?;
    }
    let person = store::by_id(&mut *tx, id, now).await?;
    let person = person.ok_or(PeopleError::NotFound)?.mask();
    tx.commit().await?;
    Ok(tagged(person.version, person))
}

/// Deletes an account: nobody gets in any more. What is kept of it, and for how long, is said where
/// it is erased.
#[utoipa::path(
    delete, path = "/v1/users/{id}", operation_id = "deleteUser", tag = "users",
    params(
        ("id" = Uuid, Path, description = "The account"),
        ("If-Match" = String, Header, description = "The ETag that was read")
    ),
    responses(
        (status = 204, description = "It is deleted"),
        (status = 403, description = "`forbidden`, `own_account`, `above_own_rights`, or `second_factor_required`"),
        (status = 404, description = "There is no such account (`not_found`)"),
        (status = 409, description = "`last_admin`, or it was deleted before (`standing_conflict`)"),
        (status = 412, description = "It has changed meanwhile (`precondition_failed`)"),
        (status = 428, description = "Without `If-Match` (`precondition_required`)"),
    )
)]
pub(crate) async fn delete(
    State(app): State<Arc<App>>,
    Fresh(caller): Fresh,
    id: Result<Path<Uuid>, PathRejection>,
    seen: Precondition,
) -> Result<StatusCode, PeopleError> {
    app.rights.require(&caller, Permission::UsersDelete)?;
    let Path(id) = id.map_err(|_| PeopleError::NotFound)?;
    let turn = moderate::Turn::plain(Verb::Delete);
    moderate::turn(&app, &caller, id, turn, Some(&seen)).await?;
    Ok(StatusCode::NO_CONTENT)
}
