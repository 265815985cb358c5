//! The rules of APIs: `GET` and `PUT /v1/acl/{api}`.
//!
//! A rule names methods and conditions, and lets in whoever meets one of its conditions: a role, a
//! permission, or being the owner of what is asked for. Where several rules name a method, one is
//! enough; where none does, nobody gets in. Gateways and `POST /v1/authz/check` go by them.
//!
//! Nobody opens or shuts a door that they can't pass: whom a method is for is changed by those who hold
//! all that an admin does, and by those whom its rules let in anyhow.

mod store;

use std::{collections::BTreeSet, sync::Arc};

use axum::{
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;
use utoipa::ToSchema;
use web::{Caller, Input, Precondition, Problem, precondition::tagged};

use crate::{
    App,
    account::FROZEN_ROLE,
    audit::{Act, Entry},
    rights::{self, Granter, Permission, RightsError, Snapshot},
    role::{ADMIN, RoleName},
    step_up::Fresh,
};

/// APIs that may have rules.
const MAX_APIS: i64 = 100;

/// The rules of an API.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Acl {
    #[schema(max_items = 50)]
    rules: Vec<Rule>,
}

/// Who may use some methods.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rule {
    /// `GET` stands for `HEAD` too.
    #[schema(min_items = 1, max_items = 5)]
    methods: Vec<Method>,
    /// One of these is enough.
    #[schema(min_items = 1, max_items = 20)]
    any: Vec<Condition>,
}

/// A method of HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum Method {
    Get,
    Post,
    Put,
    Patch,
    Delete,
}

impl Method {
    const ALL: [Self; 5] = [Self::Get, Self::Post, Self::Put, Self::Patch, Self::Delete];

    fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }
}

/// What lets somebody in.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Condition {
    /// They hold the role.
    Role(RoleName),
    /// One of their roles has the permission.
    Permission(Permission),
    /// What they ask for is theirs. Always `true`.
    Owner(bool),
}

/// Why rules stay as they are.
#[derive(Debug, Error)]
pub(crate) enum AclError {
    #[error(transparent)]
    Rights(#[from] RightsError),
    #[error("this API has no rules")]
    NotFound,
    #[error("an API's name is a letter, then up to 31 of letters, digits, _ and -, in lower case")]
    BadName,
    #[error("at most 50 rules; each has 1 to 5 methods and 1 to 20 conditions; `owner` is `true`")]
    BadRules,
    #[error("there is no role `{0}`")]
    UnknownRole(String),
    #[error("who may {} there is said by those who may, and by admins", .0.name())]
    Above(Method),
    #[error("there are rules for {MAX_APIS} APIs, and no more than that can be")]
    TooMany,
    #[error("what the caller has seen")]
    Precondition(Problem),
    #[error("keeping rules")]
    Store(#[from] sqlx::Error),
}

/// The rules of an API.
#[utoipa::path(
    get, path = "/v1/acl/{api}", operation_id = "readAcl", tag = "rights",
    params(("api" = String, Path, description = "The API")),
    responses(
        (status = 200, description = "Its rules", body = Acl,
            headers(("etag" = String, description = "Their version, for `If-Match`"))),
        (status = 403, description = "The caller may not manage rules (`forbidden`)"),
        (status = 404, description = "It has none (`not_found`)"),
    )
)]
pub(crate) async fn read(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(api): Path<String>,
) -> Result<Response, AclError> {
    app.rights.require(&caller, Permission::AclManage)?;
    let (version, document) = store::by_api(&app.pool, &api)
        .await?
        .ok_or(AclError::NotFound)?;
    Ok(tagged(version, document))
}

/// Gives an API these rules and no others. The first time with `If-None-Match: *`.
#[utoipa::path(
    put, path = "/v1/acl/{api}", operation_id = "changeAcl", tag = "rights",
    params(
        ("api" = String, Path, description = "The API"),
        ("If-Match" = Option<String>, Header, description = "The ETag that was read"),
        ("If-None-Match" = Option<String>, Header, description = "`*` for the first rules of an API")
    ),
    request_body = Acl,
    responses(
        (status = 200, description = "Its rules now", body = Acl,
            headers(("etag" = String, description = "Their version, for `If-Match`"))),
        (status = 403, description = "`forbidden`, `above_own_rights`, or `second_factor_required`"),
        (status = 409, description = "`too_many_apis`"),
        (status = 412, description = "They have changed meanwhile (`precondition_failed`)"),
        (status = 422, description = "`bad_rules` or `unknown_role`"),
        (status = 428, description = "Without a precondition (`precondition_required`)"),
    )
)]
pub(crate) async fn change(
    State(app): State<Arc<App>>,
    Fresh(caller): Fresh,
    Path(api): Path<String>,
    seen: Precondition,
    Input(acl): Input<Acl>,
) -> Result<Response, AclError> {
    app.rights.require(&caller, Permission::AclManage)?;
    RoleName::try_from(api.clone()).map_err(|_| AclError::BadName)?;
    let now = app.clock.now();
    let mut tx = app.pool.begin().await?;
    let granter = rights::begin_change(&mut tx, &caller, now).await?;
    let before = store::by_api(&mut *tx, &api).await?;
    let version = before.as_ref().map(|(version, _)| *version);
    seen.judge(version).map_err(AclError::Precondition)?;
    acl.judge(&granter.snapshot)?;
    if version.is_none() && store::count(&mut tx).await? >= MAX_APIS {
        return Err(AclError::TooMany);
    }
    let document = serde_json::to_value(&acl).expect("rules are plain data");
    let before = before.map(|(_, document)| document);
    may_change(&granter, &api, before.as_ref(), &document)?;
    let version = store::put(&mut tx, &api, &document, now).await?;
    let entry = Entry::new(Act::AclChanged, caller.user_id).session(caller.sid);
    entry.say("api", api.as_str()).record(&mut tx, now).await?;
    rights::changed(&mut tx).await?;
    tx.commit().await?;
    tracing::info!(user_id = %caller.user_id, api, "the rules of an API have changed");
    app.rights.refresh_now(&app.pool).await;
    Ok(tagged(version, document))
}

/// Refuses a change of whom a method is for, unless the granter may use it themselves. An API's first
/// rules are an admin's.
fn may_change(
    granter: &Granter,
    api: &str,
    before: Option<&Value>,
    after: &Value,
) -> Result<(), AclError> {
    if granter.covers([&ADMIN.to_owned()]).is_ok() {
        return Ok(());
    }
    let Some(before) = before else {
        return Err(RightsError::NotHeld.into());
    };
    let shut = |method: &Method| {
        let is_for = |document| {
            let rules = naming(document, *method);
            rules.map(Value::to_string).collect::<BTreeSet<_>>()
        };
        is_for(before) != is_for(after)
            && opens(&granter.snapshot, api, *method, &granter.roles, false).is_none()
    };
    let above = Method::ALL.into_iter().find(shut);
    above.map_or(Ok(()), |method| Err(AclError::Above(method)))
}

impl Acl {
    fn judge(&self, snapshot: &Snapshot) -> Result<(), AclError> {
        let fits = |rule: &Rule| {
            (1..=5).contains(&rule.methods.len()) && (1..=20).contains(&rule.any.len())
        };
        if self.rules.len() > 50 || !self.rules.iter().all(fits) {
            return Err(AclError::BadRules);
        }
        for condition in self.rules.iter().flat_map(|rule| &rule.any) {
            match condition {
                Condition::Owner(false) => return Err(AclError::BadRules),
                Condition::Role(role) if !snapshot.roles.contains_key(role.as_str()) => {
                    return Err(AclError::UnknownRole(role.as_str().to_owned()));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// Every condition in the rules of an API. They may have been written by a newer release, so they are
/// looked at one by one, and what is not known to us lets nobody in.
pub(crate) fn conditions(document: &Value) -> impl Iterator<Item = &Value> {
    listed(&document["rules"]).flat_map(|rule| listed(&rule["any"]))
}

/// What lets somebody in, in a word: `role:support`, `permission:wallets.read` or `owner`.
pub(crate) fn opens(
    snapshot: &Snapshot,
    api: &str,
    method: Method,
    roles: &[String],
    owner: bool,
) -> Option<String> {
    let mut conditions = naming(snapshot.acl.get(api)?, method);
    // Somebody frozen looks at what is theirs, and does nothing to it.
    let frozen = roles.iter().any(|role| role == FROZEN_ROLE);
    let owns = owner && (!frozen || method == Method::Get);
    conditions.find_map(|condition| {
        let role = condition["role"].as_str();
        let role = role.filter(|role| roles.iter().any(|held| held == role));
        let permission = condition["permission"].as_str();
        let permission = permission.filter(|named| snapshot.held(roles).contains(named));
        role.map(|role| format!("role:{role}"))
            .or_else(|| permission.map(|permission| format!("permission:{permission}")))
            .or_else(|| (owns && condition["owner"] == true).then(|| "owner".to_owned()))
    })
}

/// The conditions of the rules that name a method.
fn naming(document: &Value, method: Method) -> impl Iterator<Item = &Value> {
    let names_it = move |rule: &&Value| {
        let mut names = listed(&rule["methods"]).filter_map(Value::as_str);
        names.any(|name| name == method.name())
    };
    let rules = listed(&document["rules"]).filter(names_it);
    rules.flat_map(|rule| listed(&rule["any"]))
}

fn listed(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

impl From<AclError> for Problem {
    fn from(error: AclError) -> Self {
        let unprocessable = |code, title| {
            Problem::new(StatusCode::UNPROCESSABLE_ENTITY, code, title).detail(error.to_string())
        };
        match error {
            AclError::Rights(error) => error.into(),
            AclError::Precondition(problem) => problem,
            AclError::NotFound => Problem::not_found(),
            AclError::BadName => Problem::bad_request(error.to_string()),
            AclError::BadRules => unprocessable("bad_rules", "Bad rules"),
            AclError::Above(_) => Problem::new(
                StatusCode::FORBIDDEN,
                "above_own_rights",
                "Above your own rights",
            )
            .detail(error.to_string()),
            AclError::UnknownRole(_) => unprocessable("unknown_role", "Unknown role"),
            AclError::TooMany => {
                Problem::new(StatusCode::CONFLICT, "too_many_apis", "Too many APIs")
                    .detail(error.to_string())
            }
            AclError::Store(_) => Problem::internal(error),
        }
    }
}

impl IntoResponse for AclError {
    fn into_response(self) -> Response {
        Problem::from(self).into_response()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use serde_json::json;

    use super::*;

    #[test]
    fn a_rule_lets_in_whoever_meets_one_of_its_conditions() {
        let snapshot = Snapshot {
            version: 1,
            roles: BTreeMap::from([
                (
                    "teller".to_owned(),
                    BTreeSet::from(["wallets.read".to_owned()]),
                ),
                ("support".to_owned(), BTreeSet::new()),
            ]),
            acl: BTreeMap::from([(
                "wallets".to_owned(),
                json!({"rules": [
                    {"methods": ["GET"], "any": [{"role": "support"}, {"permission": "wallets.read"}]},
                    {"methods": ["GET", "POST"], "any": [{"moon": "full"}, {"owner": true}]},
                ]}),
            )]),
        };
        use Method::{Delete, Get, Post};
        for (api, method, role, owner, why) in [
            ("wallets", Get, "support", false, Some("role:support")),
            (
                "wallets",
                Get,
                "teller",
                false,
                Some("permission:wallets.read"),
            ),
            ("wallets", Get, "user", true, Some("owner")),
            ("wallets", Get, "user", false, None),
            ("wallets", Post, "support", false, None),
            ("wallets", Post, "user", true, Some("owner")),
            ("wallets", Get, "frozen", true, Some("owner")),
            ("wallets", Post, "frozen", true, None),
            ("wallets", Delete, "user", true, None),
            ("cards", Get, "support", true, None),
        ] {
            let opened = opens(&snapshot, api, method, &[role.to_owned()], owner);
            assert_eq!(opened.as_deref(), why, "{api} {method:?} {role} {owner}");
        }
    }
}
