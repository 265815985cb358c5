//! How we describe ourselves: RFC 8414, and what of OpenID Connect Discovery is true. There is no
//! authorization endpoint, since people sign in at `/v1/auth`, and so no response type; no ID token
//! is issued, so nothing signs one.

use std::sync::Arc;

use axum::{Json, extract::State, http::header, response::IntoResponse};
use serde::Serialize;
use utoipa::ToSchema;

use crate::App;

/// What a client must know of an authorization server.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Metadata {
    issuer: String,
    token_endpoint: String,
    jwks_uri: String,
    revocation_endpoint: String,
    introspection_endpoint: String,
    userinfo_endpoint: String,
    response_types_supported: [String; 0],
    grant_types_supported: [&'static str; 2],
    token_endpoint_auth_methods_supported: [&'static str; 4],
    token_endpoint_auth_signing_alg_values_supported: [&'static str; 3],
    revocation_endpoint_auth_methods_supported: [&'static str; 4],
    revocation_endpoint_auth_signing_alg_values_supported: [&'static str; 3],
    introspection_endpoint_auth_methods_supported: [&'static str; 3],
    introspection_endpoint_auth_signing_alg_values_supported: [&'static str; 3],
    /// OpenID Connect's: every client sees the same subject.
    subject_types_supported: [&'static str; 1],
    /// OpenID Connect's: there are no ID tokens.
    id_token_signing_alg_values_supported: [String; 0],
    claims_supported: [&'static str; 5],
}

const AUTH_METHODS: [&str; 4] = [
    "client_secret_basic",
    "client_secret_post",
    "private_key_jwt",
    "none",
];
/// Those of who is somebody: a stranger is told of no token what it is worth.
const PROVEN: [&str; 3] = [
    "client_secret_basic",
    "client_secret_post",
    "private_key_jwt",
];
const SIGNING: [&str; 3] = ["EdDSA", "Ed25519", "ES256"];

impl Metadata {
    fn of(issuer: &str) -> Self {
        let at = |path: &str| format!("{issuer}{path}");
        Self {
            issuer: issuer.to_owned(),
            token_endpoint: at(super::token::PATH),
            jwks_uri: at("/.well-known/jwks.json"),
            revocation_endpoint: at("/oauth/revoke"),
            introspection_endpoint: at("/oauth/introspect"),
            userinfo_endpoint: at("/oauth/userinfo"),
            response_types_supported: [],
            grant_types_supported: ["refresh_token", "client_credentials"],
            token_endpoint_auth_methods_supported: AUTH_METHODS,
            token_endpoint_auth_signing_alg_values_supported: SIGNING,
            revocation_endpoint_auth_methods_supported: AUTH_METHODS,
            revocation_endpoint_auth_signing_alg_values_supported: SIGNING,
            introspection_endpoint_auth_methods_supported: PROVEN,
            introspection_endpoint_auth_signing_alg_values_supported: SIGNING,
            subject_types_supported: ["public"],
            id_token_signing_alg_values_supported: [],
            claims_supported: [
                "sub",
                "email",
                "email_verified",
                "phone_number",
                "phone_number_verified",
            ],
        }
    }
}

/// What there is for clients that speak OAuth (RFC 8414).
#[utoipa::path(
    get, path = "/.well-known/oauth-authorization-server", operation_id = "oauthMetadata", tag = "oauth",
    responses((status = 200, description = "The description", body = Metadata))
)]
pub(crate) async fn oauth_metadata(State(app): State<Arc<App>>) -> impl IntoResponse {
    let kept = [(header::CACHE_CONTROL, "public, max-age=300")];
    (kept, Json(Metadata::of(app.tokens.issuer())))
}

/// The same, where clients of OpenID Connect look for it.
#[utoipa::path(
    get, path = "/.well-known/openid-configuration", operation_id = "openidConfiguration", tag = "oauth",
    responses((status = 200, description = "The description", body = Metadata))
)]
pub(crate) async fn openid_configuration(State(app): State<Arc<App>>) -> impl IntoResponse {
    oauth_metadata(State(app)).await
}
