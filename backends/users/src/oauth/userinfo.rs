//! Who somebody is, in OpenID Connect's words: `GET /oauth/userinfo`.

use std::sync::Arc;

use axum::{Json, extract::State};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;
use web::{Caller, Problem};

use crate::{App, account};

/// The standard claims that we know (OpenID Connect Core §5.1). Addresses are proven ones.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UserInfo {
    sub: Uuid,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    email: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    email_verified: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    phone_number: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    phone_number_verified: Option<bool>,
}

/// Who the caller is. A service account is nobody in this sense.
#[utoipa::path(
    get, path = "/oauth/userinfo", operation_id = "userinfo", tag = "oauth",
    responses(
        (status = 200, description = "The caller's claims", body = UserInfo),
        (status = 401, description = "Nobody is signed in, or no person (`unauthenticated`)"),
    )
)]
pub(crate) async fn userinfo(
    State(app): State<Arc<App>>,
    caller: Caller,
) -> Result<Json<UserInfo>, Problem> {
    let account = account::store::by_id(&app.pool, caller.user_id).await?;
    let account = account.ok_or_else(Problem::unauthenticated)?;
    Ok(Json(UserInfo {
        sub: account.id,
        email_verified: account.email.as_ref().map(|_| true),
        email: account.email,
        phone_number_verified: account.phone.as_ref().map(|_| true),
        phone_number: account.phone,
    }))
}
