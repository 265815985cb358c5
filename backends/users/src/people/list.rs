//! Finding people: `GET /v1/users`.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Query, State, rejection::QueryRejection},
};
use serde::{Deserialize, Serialize, de::IgnoredAny};
use time::OffsetDateTime;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;
use web::{
    Caller, Problem,
    page::{Page, Wish},
};

use super::{PeopleError, Person, StandingName, store};
use crate::{App, contact::Phone, email::Email, rights::Permission, role::RoleName};

/// Which accounts are wanted. Those that meet all of it.
#[derive(Debug, Deserialize, Serialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct Filter {
    /// What they are good for now.
    pub(super) standing: Option<StandingName>,
    /// A role that they hold.
    pub(super) role: Option<RoleName>,
    /// Whether somebody here has made sure who they are.
    pub(super) verified: Option<bool>,
    /// Created at this time or later.
    #[serde(default, with = "time::serde::rfc3339::option")]
    #[param(format = DateTime)]
    pub(super) created_from: Option<OffsetDateTime>,
    /// Created before this time.
    #[serde(default, with = "time::serde::rfc3339::option")]
    #[param(format = DateTime)]
    pub(super) created_to: Option<OffsetDateTime>,
    /// The whole address.
    #[param(value_type = Option<String>, max_length = 254)]
    pub(super) email: Option<Email>,
    /// The whole number.
    #[param(value_type = Option<String>, max_length = 16)]
    pub(super) phone: Option<Phone>,
    /// The account itself.
    pub(super) id: Option<Uuid>,
    /// In which order.
    #[serde(default)]
    #[param(inline)]
    pub(super) sort: Sort,
    /// Read by [`Wish`].
    #[param(ignore)]
    #[serde(default, skip_serializing, rename = "limit")]
    _limit: Option<IgnoredAny>,
    #[param(ignore)]
    #[serde(default, skip_serializing, rename = "cursor")]
    _cursor: Option<IgnoredAny>,
}

/// In which order accounts are listed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
pub(crate) enum Sort {
    /// The oldest first.
    #[serde(rename = "created")]
    Oldest,
    /// The newest first.
    #[default]
    #[serde(rename = "-created")]
    Newest,
}

/// Lists accounts, with what is personal masked.
#[utoipa::path(
    get, path = "/v1/users", operation_id = "listUsers", tag = "users",
    params(Wish, Filter),
    responses(
        (status = 200, description = "A page of them", body = Page<Person>),
        (status = 400, description = "A filter that is none (`bad_request`), or a cursor of another list (`bad_cursor`)"),
        (status = 403, description = "Without the permission to (`forbidden`)"),
    )
)]
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
    wish: Wish,
    filter: Result<Query<Filter>, QueryRejection>,
) -> Result<Json<Page<Person>>, PeopleError> {
    app.rights.require(&caller, Permission::UsersRead)?;
    let Query(filter) =
        filter.map_err(|error| PeopleError::Refused(Problem::bad_request(error.body_text())))?;
    let words = serde_json::to_string(&filter).expect("a filter is plain data");
    let list = format!("accounts by {words} for {}", caller.user_id);
    let open = |cursor: &String| app.cursors.open(cursor, &list);
    let after = wish.cursor.as_ref().map(open).transpose();
    let after = after.map_err(PeopleError::Refused)?;
    let limit = i64::from(wish.limit) + 1;
    let rows = store::list(&app.pool, &filter, after, limit, app.clock.now()).await?;
    let rows = rows.into_iter().map(Person::mask).collect();
    let seal = |last: &Person| app.cursors.seal(&last.id, &list);
    Ok(Json(Page::cut(rows, wish.limit, seal)))
}
