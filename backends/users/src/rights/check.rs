//! Asking who may what: `POST /v1/authz/check` for decisions, and `GET /v1/authz/snapshot` for all that
//! they are made by, so that a service can make its own.
//!
//! Services, and people with the permission, may ask about anybody; everybody may ask about themselves.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Json,
    extract::{Query, State},
    http::HeaderMap,
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;
use web::{
    Caller, Gateway, Input, Problem,
    precondition::{known, not_modified, tagged},
};

use super::{Permission, RightsError, Snapshot, feed, store};
use crate::{
    App,
    acl::{self, Method},
};

/// Questions in one request.
const MAX_QUESTIONS: usize = 100;

/// Questions, each answered at its place.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Questions {
    #[schema(min_items = 1, max_items = 100)]
    checks: Vec<Question>,
}

/// Whether somebody has a permission, or whether the rules of an API let them in: either `permission`
/// is given, or `api` and `method`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Question {
    /// About whom. Default: the caller.
    #[serde(default, deserialize_with = "web::given")]
    #[schema(nullable = false)]
    user_id: Option<Uuid>,
    #[serde(default, deserialize_with = "web::given")]
    #[schema(nullable = false)]
    permission: Option<Permission>,
    #[serde(default, deserialize_with = "web::given")]
    #[schema(nullable = false, max_length = 32)]
    api: Option<String>,
    #[serde(default, deserialize_with = "web::given")]
    #[schema(nullable = false)]
    method: Option<Method>,
    /// Whose the thing is that is asked for.
    #[serde(default, deserialize_with = "web::given")]
    #[schema(nullable = false)]
    owner_id: Option<Uuid>,
}

/// The answers, in the order of the questions.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Answers {
    /// By which version of who may what.
    version: i64,
    results: Vec<Answer>,
}

/// A decision.
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Answer {
    allowed: bool,
    /// What let them in (`permission:users.read`, `role:support`, `owner`), or `not_allowed`, or
    /// `no_such_user`.
    why: String,
}

/// How long to wait for news.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Wait {
    /// Seconds to wait for a version other than that of `If-None-Match`, up to 4.
    #[serde(default)]
    #[param(maximum = 4, default = 0)]
    wait: u8,
}

/// All that decisions are made by.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SnapshotView {
    version: i64,
    /// The permissions of each role.
    roles: BTreeMap<String, Vec<String>>,
    /// The rules of each API.
    acl: BTreeMap<String, acl::Acl>,
}

/// Why nothing is decided.
#[derive(Debug, Error)]
pub(crate) enum CheckError {
    #[error(transparent)]
    Rights(#[from] RightsError),
    #[error("nobody asks")]
    Nobody,
    #[error("1 to {MAX_QUESTIONS} checks, each with `permission`, or with `api` and `method`")]
    BadQuestion,
    #[error("deciding")]
    Store(#[from] sqlx::Error),
}

/// Decides up to a hundred questions.
#[utoipa::path(
    post, path = "/v1/authz/check", operation_id = "checkRights", tag = "rights",
    request_body = Questions,
    responses(
        (status = 200, description = "The answers", body = Answers),
        (status = 400, description = "A question that is none (`bad_request`)"),
        (status = 403, description = "About somebody else, without the permission to (`forbidden`)"),
    )
)]
pub(crate) async fn check(
    State(app): State<Arc<App>>,
    gateway: Result<Gateway, Problem>,
    caller: Option<Caller>,
    Input(Questions { checks }): Input<Questions>,
) -> Result<Json<Answers>, CheckError> {
    if gateway.is_err() && caller.is_none() {
        return Err(CheckError::Nobody);
    }
    let is_one = |question: &Question| match question.permission {
        Some(_) => [
            question.api.is_none(),
            question.method.is_none(),
            question.owner_id.is_none(),
        ],
        None => [question.api.is_some(), question.method.is_some(), true],
    };
    let good = checks.iter().all(|question| is_one(question) == [true; 3]);
    if !good || !(1..=MAX_QUESTIONS).contains(&checks.len()) {
        return Err(CheckError::BadQuestion);
    }
    let own = caller.as_ref().map(|caller| caller.user_id);
    let others: Vec<Uuid> = checks
        .iter()
        .filter_map(|question| question.user_id)
        .filter(|id| Some(*id) != own)
        .collect();
    if let (Some(caller), false) = (&caller, others.is_empty()) {
        app.rights.require(caller, Permission::AuthzCheck)?;
    }
    let snapshot = app.rights.snapshot()?;
    let now = app.clock.now();
    let mut roles = store::roles_of(&app.pool, &others, now).await?;
    if let Some(caller) = caller {
        // What the caller's token says, which may be less than their account holds.
        roles.insert(caller.user_id, caller.roles);
    }
    let decide = |question: Question| {
        let about = question.user_id.or(own).ok_or(CheckError::BadQuestion)?;
        Ok(decide(&snapshot, roles.get(&about), about, &question))
    };
    let results = checks
        .into_iter()
        .map(decide)
        .collect::<Result<_, CheckError>>()?;
    Ok(Json(Answers {
        version: snapshot.version,
        results,
    }))
}

fn decide(
    snapshot: &Snapshot,
    roles: Option<&Vec<String>>,
    about: Uuid,
    question: &Question,
) -> Answer {
    let Some(roles) = roles else {
        return Answer {
            allowed: false,
            why: "no_such_user".to_owned(),
        };
    };
    let opened = match question {
        Question {
            permission: Some(permission),
            ..
        } => snapshot
            .allows(roles, *permission)
            .then(|| format!("permission:{}", permission.name())),
        Question {
            api: Some(api),
            method: Some(method),
            owner_id,
            ..
        } => acl::opens(snapshot, api, *method, roles, *owner_id == Some(about)),
        _ => None,
    };
    Answer {
        allowed: opened.is_some(),
        why: opened.unwrap_or_else(|| "not_allowed".to_owned()),
    }
}

/// All that decisions are made by, for services that make their own. With `If-None-Match` and `wait`
/// the answer comes when there is another version.
#[utoipa::path(
    get, path = "/v1/authz/snapshot", operation_id = "authzSnapshot", tag = "rights",
    params(Wait, ("If-None-Match" = Option<String>, Header, description = "The ETag that is known")),
    responses(
        (status = 200, description = "Roles, their permissions and the rules of APIs", body = SnapshotView,
            headers(("etag" = String, description = "Its version"))),
        (status = 304, description = "It is the version that you know"),
        (status = 403, description = "Without the permission to (`forbidden`)"),
    )
)]
pub(crate) async fn snapshot(
    State(app): State<Arc<App>>,
    caller: Caller,
    headers: HeaderMap,
    Query(Wait { wait }): Query<Wait>,
) -> Result<Response, CheckError> {
    app.rights.require(&caller, Permission::AuthzCheck)?;
    let version = app.rights.snapshot()?.version;
    let version = known(&headers, version).then_some(version);
    let news = feed::newer(&app, version, wait).await?;
    Ok(match (news, version) {
        (Some(news), _) => tagged(news.version, &*news),
        (None, version) => not_modified(version.unwrap_or_default()),
    })
}

impl From<CheckError> for Problem {
    fn from(error: CheckError) -> Self {
        match error {
            CheckError::Rights(error) => error.into(),
            CheckError::Nobody => Problem::unauthenticated(),
            CheckError::BadQuestion => Problem::bad_request(error.to_string()),
            CheckError::Store(_) => Problem::internal(error),
        }
    }
}

impl IntoResponse for CheckError {
    fn into_response(self) -> Response {
        Problem::from(self).into_response()
    }
}
