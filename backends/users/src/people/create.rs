//! Creating accounts for others: `POST /v1/users`.
//!
//! Whoever creates one chooses no password: its owner gets in by a code to the contact, or by the
//! password that they had where they come from, of which the hash is brought along. So the account is
//! theirs who has the contact, whoever wrote it down.

use std::{collections::BTreeSet, sync::Arc};

use axum::{extract::State, http::StatusCode, response::Response};
use events::UserVerified;
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;
use web::{Input, precondition::tagged};

use super::{PeopleError, Person, one::PersonName, store};
use crate::{
    App, SCHEMA,
    account::{self, DEFAULT_ROLE},
    audit::{Act, Entry},
    contact::{Contact, Phone},
    email::Email,
    password::Imported,
    rights::{self, Permission},
    role::{RoleName, assign},
    step_up::Fresh,
};

/// An account to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewPerson {
    /// Either this or `phone`.
    #[serde(default, deserialize_with = "web::given")]
    #[schema(nullable = false)]
    email: Option<Email>,
    /// Either this or `email`.
    #[serde(default, deserialize_with = "web::given")]
    #[schema(nullable = false)]
    phone: Option<Phone>,
    #[serde(default, deserialize_with = "web::given")]
    #[schema(nullable = false)]
    name: Option<PersonName>,
    /// The hash of a password that they chose elsewhere, in that place's form.
    #[serde(default, deserialize_with = "web::given")]
    #[schema(nullable = false, value_type = String, max_length = 512)]
    password_hash: Option<Imported>,
    /// Default: `user`. Others take `roles.assign` as well.
    #[serde(default, deserialize_with = "web::given")]
    #[schema(nullable = false, min_items = 1, max_items = 16)]
    roles: Option<Vec<RoleName>>,
}

/// Creates an account. Its contact is the wish's own, so a repetition creates no second one.
#[utoipa::path(
    post, path = "/v1/users", operation_id = "createUser", tag = "users",
    request_body = NewPerson,
    responses(
        (status = 201, description = "The account, masked", body = Person,
            headers(("etag" = String, description = "Its version, for `If-Match`"))),
        (status = 403, description = "`forbidden`, `above_own_rights`, or `second_factor_required`"),
        (status = 409, description = "`contact_taken`"),
        (status = 422, description = "`unknown_role` or `bad_roles`"),
    )
)]
pub(crate) async fn create(
    State(app): State<Arc<App>>,
    Fresh(caller): Fresh,
    Input(wish): Input<NewPerson>,
) -> Result<Response, PeopleError> {
    app.rights.require(&caller, Permission::UsersCreate)?;
    if wish.roles.is_some() {
        app.rights.require(&caller, Permission::RolesAssign)?;
    }
    let contact = Contact::one_of(wish.email, wish.phone).map_err(PeopleError::Refused)?;
    let (id, now) = (Uuid::now_v7(), app.clock.now());
    let mut tx = app.pool.begin().await?;
    let granter = rights::begin_change(&mut tx, &caller, now).await?;
    let roles = match &wish.roles {
        Some(roles) => assign::judge(&granter.snapshot, roles)?,
        None => BTreeSet::from([DEFAULT_ROLE.to_owned()]),
    };
    granter.covers(&roles)?;
    let kept = wish.password_hash.as_ref().map(Imported::as_str);
    if !account::store::begin(&mut tx, id, &contact, kept, now).await? {
        return Err(PeopleError::Taken);
    }
    for role in &roles {
        account::store::grant(&mut tx, id, role, now).await?;
    }
    if let Some(name) = &wish.name {
        store::rename(&mut tx, id, Some(&name.0)).await?;
    }
    let opened = UserVerified {
        user_id: id,
        email: matches!(contact, Contact::Email(_)).then(|| contact.as_str().to_owned()),
        phone: matches!(contact, Contact::Phone(_)).then(|| contact.as_str().to_owned()),
    };
    pg::outbox::publish(&mut tx, SCHEMA, &opened).await?;
    let roles: Vec<String> = roles.into_iter().collect();
    let entry = Entry::new(Act::PersonCreated, id)
        .by(caller.user_id)
        .session(caller.sid);
    entry.say("roles", roles).record(&mut tx, now).await?;
    let person = store::by_id(&mut *tx, id, now).await?;
    let person = person.ok_or(PeopleError::NotFound)?.mask();
    tx.commit().await?;
    tracing::info!(user_id = %caller.user_id, account_id = %id, "an account was created");
    let mut response = tagged(person.version, person);
    *response.status_mut() = StatusCode::CREATED;
    Ok(response)
}
