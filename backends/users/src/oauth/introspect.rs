//! What a token is worth: `POST /oauth/introspect` (RFC 7662), for those who serve by tokens and
//! don't read them themselves.

use std::sync::Arc;

use axum::{Json, extract::State, http::HeaderMap};
use serde::Deserialize;
use serde_json::{Value, json};
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;
use web::{Form, Problem};

use super::{
    OauthError, OauthProblem,
    client::{self, Client, ClientFields, PUBLIC_CLIENT},
    store,
};
use crate::{
    App,
    session::{self, RefreshToken},
};

/// The claims of ours that are told.
const TOLD: [&str; 13] = [
    "iss",
    "aud",
    "sub",
    "sid",
    "jti",
    "iat",
    "exp",
    "client_id",
    "scope",
    "roles",
    "acr",
    "amr",
    "auth_time",
];

/// A token to look at.
#[derive(Deserialize, ToSchema)]
pub(crate) struct IntrospectionFields {
    #[schema(required = true, nullable = false)]
    token: Option<String>,
    /// `access_token` or `refresh_token`; both are looked for, whatever it says.
    #[serde(rename = "token_type_hint")]
    #[schema(nullable = false)]
    _hint: Option<String>,
    #[serde(flatten)]
    client: ClientFields,
}

/// What there is to say of a token. Of one that is not good, or not the caller's to ask about, it is
/// `active: false` and nothing else.
#[derive(ToSchema)]
#[expect(
    dead_code,
    reason = "it is written claim by claim; this is how the document tells of it"
)]
pub(crate) struct Introspection {
    active: bool,
    #[schema(nullable = false)]
    sub: Option<Uuid>,
    #[schema(nullable = false)]
    exp: Option<i64>,
    /// And the token's other claims: `iss`, `aud`, `iat`, `jti`, `sid`, `scope`, `roles` and so on.
    #[schema(nullable = false)]
    client_id: Option<String>,
}

/// Tells what a token is worth now, what was taken back included. A service account may always ask
/// about its own tokens, and about those of others where it was made so.
#[utoipa::path(
    post, path = "/oauth/introspect", operation_id = "oauthIntrospect", tag = "oauth",
    request_body(content = IntrospectionFields, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, description = "What it is worth", body = Introspection),
        (status = 400, description = "`invalid_request`", body = OauthProblem),
        (status = 401, description = "`invalid_client`", body = OauthProblem,
            headers(("www-authenticate" = String, description = "`Basic`"))),
    )
)]
pub(crate) async fn oauth_introspect(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    form: Result<Form<IntrospectionFields>, Problem>,
) -> Result<Json<Value>, OauthError> {
    let Form(fields) = form.map_err(OauthError::Form)?;
    let now = app.clock.now();
    let client = client::authenticate(&app, &headers, &fields.client, now).await?;
    let client = client.ok_or(OauthError::InvalidClient)?;
    let Some(token) = &fields.token else {
        return Err(OauthError::InvalidRequest("`token` is missing"));
    };
    let known = match access(&app, token, now).await? {
        None => refresh(&app, token, now).await?,
        known => known,
    };
    let may = |known: &Value| client.introspects || is_its_own(&client, known);
    let known = known
        .filter(may)
        .unwrap_or_else(|| json!({ "active": false }));
    Ok(Json(known))
}

fn is_its_own(client: &Client, known: &Value) -> bool {
    known["client_id"] == json!(client.id)
}

async fn access(app: &App, token: &str, now: OffsetDateTime) -> Result<Option<Value>, OauthError> {
    let Some(claims) = app.tokens.open(token, now) else {
        return Ok(None);
    };
    let id = |name: &str| claims[name].as_str().and_then(|id| id.parse::<Uuid>().ok());
    let issued_at = claims["iat"].as_i64().unwrap_or(0);
    let issued_at =
        OffsetDateTime::from_unix_timestamp(issued_at).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let subject = id("sub").unwrap_or_default();
    if store::is_revoked(&app.pool, subject, id("sid"), issued_at).await? {
        return Ok(None);
    }
    let mut known = json!({ "active": true, "token_type": "Bearer", "client_id": PUBLIC_CLIENT });
    for name in TOLD {
        if let Some(value) = claims.get(name) {
            known[name] = value.clone();
        }
    }
    Ok(Some(known))
}

async fn refresh(app: &App, token: &str, now: OffsetDateTime) -> Result<Option<Value>, OauthError> {
    let living = session::living(app, &RefreshToken::brought(token), now).await?;
    Ok(living.map(|living| {
        json!({
            "active": true,
            "iss": app.tokens.issuer(),
            "sub": living.account_id,
            "sid": living.session_id,
            "exp": living.expires_at.unix_timestamp(),
            "client_id": PUBLIC_CLIENT,
        })
    }))
}
