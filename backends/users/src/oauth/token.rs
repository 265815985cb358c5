//! Giving tokens: `POST /oauth/token`.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::HeaderMap,
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use web::{Form, Problem};

use super::{
    OauthError, OauthProblem,
    client::{self, Client, ClientFields},
};
use crate::{
    App,
    client::Client as Program,
    session::{self, RefreshToken},
    token,
};

pub(super) const PATH: &str = "/oauth/token";
/// How a role is asked for in `scope`.
const ROLE: &str = "role:";

/// What a client asks for.
#[derive(Deserialize, ToSchema)]
pub(crate) struct TokenFields {
    /// `refresh_token` or `client_credentials`.
    #[schema(required = true, nullable = false)]
    grant_type: Option<String>,
    /// For `client_credentials`: names with blanks between them, roles as `role:support`. Left out:
    /// all that the client may have.
    #[schema(nullable = false)]
    scope: Option<String>,
    /// For `refresh_token`: the one to spend.
    #[schema(nullable = false)]
    refresh_token: Option<RefreshToken>,
    #[serde(flatten)]
    client: ClientFields,
}

/// A token for a client of its own (RFC 6749 §5.1).
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ClientToken {
    /// A JWT of type `at+jwt`.
    access_token: String,
    token_type: &'static str,
    /// Seconds until it is void.
    expires_in: i64,
    /// What it may be used for.
    scope: String,
}

/// Gives tokens: to a service account for itself (`client_credentials`), or for a refresh token the
/// next pair, by the same rules as `POST /v1/auth/refresh`. Refresh tokens are those of our own apps,
/// which prove nothing else.
#[utoipa::path(
    post, path = "/oauth/token", operation_id = "oauthToken", tag = "oauth",
    request_body(content = TokenFields, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, description = "A token; with `refresh_token` the answer of `refresh`", body = ClientToken),
        (status = 400, description = "`invalid_request`, `invalid_grant`, `unsupported_grant_type` or `invalid_scope`", body = OauthProblem),
        (status = 401, description = "`invalid_client`", body = OauthProblem,
            headers(("www-authenticate" = String, description = "`Basic`"))),
    )
)]
pub(crate) async fn oauth_token(
    State(app): State<Arc<App>>,
    program: Program,
    headers: HeaderMap,
    form: Result<Form<TokenFields>, Problem>,
) -> Result<Response, OauthError> {
    let Form(fields) = form.map_err(OauthError::Form)?;
    let now = app.clock.now();
    let Some(grant_type) = &fields.grant_type else {
        return Err(OauthError::InvalidRequest("`grant_type` is missing"));
    };
    if !["refresh_token", "client_credentials"].contains(&grant_type.as_str()) {
        return Err(OauthError::UnsupportedGrantType);
    }
    let client = client::authenticate(&app, &headers, &fields.client, now).await?;
    if grant_type == "client_credentials" {
        let client = client.ok_or(OauthError::InvalidClient)?;
        let granted = granted(client, fields.scope.as_deref())?;
        return Ok(Json(issue(&app, &granted)?).into_response());
    }
    let Some(refresh_token) = fields.refresh_token else {
        return Err(OauthError::InvalidRequest("`refresh_token` is missing"));
    };
    if client.is_some() {
        // No session was opened by a service account.
        return Err(OauthError::InvalidGrant);
    }
    if fields.scope.is_some() {
        // What a session may is its roles; none was ever granted a scope.
        return Err(OauthError::InvalidScope);
    }
    let tokens = session::spend(&app, refresh_token, false, &program, now).await?;
    Ok(tokens.into_response())
}

/// What of its rights a client asks for now.
fn granted(mut client: Client, scope: Option<&str>) -> Result<Client, OauthError> {
    let Some(scope) = scope else {
        return Ok(client);
    };
    let asked: Vec<&str> = scope.split(' ').filter(|name| !name.is_empty()).collect();
    let may = |name: &str| match name.strip_prefix(ROLE) {
        Some(role) => client.roles.iter().any(|held| held == role),
        None => client.scopes.iter().any(|held| held == name),
    };
    if asked.is_empty() || !asked.iter().all(|name| may(name)) {
        return Err(OauthError::InvalidScope);
    }
    client
        .scopes
        .retain(|scope| asked.contains(&scope.as_str()));
    client.roles.retain(|role| {
        asked
            .iter()
            .any(|name| name.strip_prefix(ROLE) == Some(role))
    });
    Ok(client)
}

fn issue(app: &App, client: &Client) -> Result<ClientToken, OauthError> {
    let access_token = app.tokens.issue_to_client(client, app.clock.now())?;
    tracing::info!(client_id = %client.id, "a service account was given a token");
    let roles = client.roles.iter().map(|role| format!("{ROLE}{role}"));
    let scope: Vec<String> = client.scopes.iter().cloned().chain(roles).collect();
    Ok(ClientToken {
        access_token,
        token_type: "Bearer",
        expires_in: token::LIFETIME.whole_seconds(),
        scope: scope.join(" "),
    })
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_client_gets_what_it_asks_for_of_what_it_may() {
        let check = |scope: Option<&str>, got: Option<(&[&str], &[&str])>| {
            let client = Client {
                id: Uuid::nil(),
                introspects: false,
                scopes: vec!["a:read".to_owned(), "b:read".to_owned()],
                roles: vec!["support".to_owned()],
            };
            let granted = granted(client, scope).ok();
            let granted = granted.map(|client| (client.scopes, client.roles));
            let own = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
            assert_eq!(
                granted,
                got.map(|(scopes, roles)| (own(scopes), own(roles))),
                "{scope:?}"
            );
        };
        check(None, Some((&["a:read", "b:read"], &["support"])));
        check(Some("b:read"), Some((&["b:read"], &[])));
        check(
            Some("role:support a:read"),
            Some((&["a:read"], &["support"])),
        );
        check(Some("c:read"), None);
        check(Some("a:read role:admin"), None);
        check(Some("support"), None);
        check(Some(" "), None);
    }
}
