//! Taking a token back: `POST /oauth/revoke` (RFC 7009).

use std::sync::Arc;

use axum::{
    extract::State,
    http::{HeaderMap, StatusCode},
};
use serde::Deserialize;
use serde_json::{Value, json};
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;
use web::{Form, Problem};

use super::{
    OauthError, OauthProblem,
    client::{self, Client, ClientFields},
};
use crate::{
    App,
    revocation::{self, Revoked},
    session::{self, RefreshToken},
};

/// A token that nobody shall use any longer.
#[derive(Deserialize, ToSchema)]
pub(crate) struct RevocationFields {
    #[schema(required = true, nullable = false)]
    token: Option<String>,
    /// `access_token` or `refresh_token`; both are looked for, whatever it says.
    #[serde(rename = "token_type_hint")]
    #[schema(nullable = false)]
    _hint: Option<String>,
    #[serde(flatten)]
    client: ClientFields,
}

/// Takes a token back. A refresh token, or an access token of a session, takes its session along:
/// both are void, the one at once and the other within a second. A service account's token takes
/// along all that it was given until now; it can have a new one. What is not known is void anyway,
/// so that is answered in the same way.
#[utoipa::path(
    post, path = "/oauth/revoke", operation_id = "oauthRevoke", tag = "oauth",
    request_body(content = RevocationFields, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, description = "The token is void"),
        (status = 400, description = "`invalid_request`, or `unauthorized_client`: another client's token", body = OauthProblem),
        (status = 401, description = "`invalid_client`", body = OauthProblem,
            headers(("www-authenticate" = String, description = "`Basic`"))),
    )
)]
pub(crate) async fn oauth_revoke(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    form: Result<Form<RevocationFields>, Problem>,
) -> Result<StatusCode, OauthError> {
    let Form(fields) = form.map_err(OauthError::Form)?;
    let now = app.clock.now();
    let client = client::authenticate(&app, &headers, &fields.client, now).await?;
    let Some(token) = fields.token else {
        return Err(OauthError::InvalidRequest("`token` is missing"));
    };
    match app.tokens.open(&token, now) {
        Some(claims) => access(&app, client.as_ref(), &claims, now).await?,
        // Whoever holds it could go on with it, so they may also end it.
        None => session::end_by_token(&app, &RefreshToken::brought(&token), now).await?,
    }
    Ok(StatusCode::OK)
}

async fn access(
    app: &App,
    client: Option<&Client>,
    claims: &Value,
    now: OffsetDateTime,
) -> Result<(), OauthError> {
    let id = |name: &str| claims[name].as_str().and_then(|id| id.parse::<Uuid>().ok());
    if claims.get("client_id").is_some() {
        let client = client.ok_or(OauthError::InvalidClient)?;
        if claims["client_id"] != json!(client.id) {
            return Err(OauthError::UnauthorizedClient);
        }
        let mut tx = app.pool.begin().await?;
        revocation::revoke(&mut tx, &[Revoked::Subject(client.id)], now).await?;
        tx.commit().await?;
    } else if let (Some(account_id), Some(session_id)) = (id("sub"), id("sid")) {
        session::end_one(app, account_id, session_id, now).await?;
    }
    Ok(())
}
