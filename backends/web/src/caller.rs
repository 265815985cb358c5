//! Who calls.

use axum::extract::FromRequestParts;
use http::request::Parts;
use identity::Statement;
use uuid::Uuid;

use crate::Problem;

/// The user who calls, as the gateway vouched for them. A handler that takes one is out of an
/// anonymous caller's reach: they are answered 401.
///
/// `Option<Caller>` is for handlers that serve both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The user.
    pub user_id: Uuid,
    /// The roles they hold, as their token said.
    pub roles: Vec<String>,
    /// The scopes they were granted.
    pub scopes: Vec<String>,
    /// The session they speak in.
    pub sid: Option<Uuid>,
    /// How strongly they proved who they are (`acr`).
    pub acr: Option<String>,
    /// When they proved it, in Unix seconds.
    pub auth_time: Option<i64>,
}

impl Caller {
    /// Whether they hold the role.
    pub fn has_role(&self, role: &str) -> bool {
        self.roles.iter().any(|held| held == role)
    }

    fn of(statement: &Statement) -> Result<Option<Self>, Problem> {
        let Some(who) = &statement.who else {
            return Ok(None);
        };
        // A subject of another issuer may be no UUID of ours: that is nobody here.
        let user_id = who.sub.parse().map_err(|_| Problem::unauthenticated())?;
        let sid = who.sid.as_deref().map(str::parse).transpose();
        Ok(Some(Self {
            user_id,
            roles: who.roles.clone(),
            scopes: who.scopes.clone(),
            sid: sid.map_err(|_| Problem::unauthenticated())?,
            acr: who.acr.clone(),
            auth_time: who.auth_time,
        }))
    }

    fn from_parts(parts: &Parts) -> Result<Option<Self>, Problem> {
        // No statement: a route outside `guarded`, which vouches for nobody.
        parts
            .extensions
            .get::<Statement>()
            .map_or(Ok(None), Self::of)
    }
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Self::from_parts(parts)?.ok_or_else(Problem::unauthenticated)
    }
}

/// A caller who has signed in and speaks in that session. Keys for programs and services are answered
/// 403 `session_required`: what a person looks after is not for them.
pub struct SignedIn(pub Caller);

impl<S: Sync> FromRequestParts<S> for SignedIn {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let caller = Caller::from_parts(parts)?.ok_or_else(Problem::unauthenticated)?;
        if caller.sid.is_none() {
            return Err(Problem::session_required());
        }
        Ok(Self(caller))
    }
}

impl<S: Sync> axum::extract::OptionalFromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Problem> {
        Self::from_parts(parts)
    }
}
