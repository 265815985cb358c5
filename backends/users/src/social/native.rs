//! Apps on a phone sign in at the provider by its own library, and bring the ID token: `POST
//! /v1/auth/social/{provider}/nonce`, then `/token`.
//!
//! The nonce is ours, drawn for one token. The app gives it to the provider's library, as it is or as
//! the hex digits of its SHA-256, and brings it along with the token. Where the hash was given, who
//! steals a token has not got what it needs; and in each case a token is good here once.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use web::Input;

use super::{
    ProviderName, SocialError, TTL,
    browser::{Token, s256},
    enter::enter,
    provider::plain,
    store, within,
};
use crate::{App, client::Client, session::Tokens};

/// What an ID token shall repeat.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Nonce {
    nonce: String,
    /// In seconds.
    expires_in: i64,
}

/// What an app brings.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Brought {
    #[schema(max_length = 8192)]
    id_token: String,
    /// As it was given by `socialNonce`, whatever the ID token repeats.
    #[schema(max_length = 128)]
    nonce: String,
    /// Apple's, beside the ID token: with it we can give the permission back when the link ends.
    #[serde(default)]
    #[schema(nullable = false, max_length = 2048)]
    authorization_code: Option<String>,
    /// Apple's, which tells it the app alone, and once.
    #[serde(default)]
    #[schema(nullable = false, max_length = 256)]
    name: Option<String>,
}

/// Draws the nonce for an ID token.
#[utoipa::path(
    post, path = "/v1/auth/social/{provider}/nonce", operation_id = "socialNonce", tag = "auth",
    params(("provider" = String, Path, description = "One of `/v1/auth/providers` that is `native`")),
    responses(
        (status = 200, description = "Good for one ID token", body = Nonce),
        (status = 404, description = "No app may bring tokens of such a provider"),
    )
)]
pub(crate) async fn nonce(
    State(app): State<Arc<App>>,
    Path(provider): Path<String>,
) -> Result<Json<Nonce>, SocialError> {
    let provider = app.social.provider(&provider)?;
    if !provider.is_native() {
        return Err(SocialError::UnknownProvider);
    }
    let nonce = Token::random()?;
    let expires_at = app.clock.now() + TTL;
    store::keep_nonce(&app.pool, &nonce.hash(), provider.name, expires_at).await?;
    Ok(Json(Nonce {
        nonce: nonce.text(),
        expires_in: TTL.whole_seconds(),
    }))
}

/// Signs in with an ID token that the provider gave to an app of ours.
#[utoipa::path(
    post, path = "/v1/auth/social/{provider}/token", operation_id = "socialToken", tag = "auth",
    params(("provider" = String, Path, description = "One of `/v1/auth/providers` that is `native`")),
    request_body = Brought,
    responses(
        (status = 200, description = "Signed in", body = Tokens),
        (status = 400, description = "The nonce is not good, or no longer (`invalid_nonce`)"),
        (status = 401, description = "The token is not believed (`not_vouched`), an account is to be linked first (`link_required`), or a second factor is due (`mfa_required`)"),
        (status = 403, description = "The account is banned (`account_banned`) or given up (`account_deleted`)"),
        (status = 404, description = "No app may bring tokens of such a provider"),
        (status = 503, description = "The provider can't be reached (`provider_unavailable`)"),
    )
)]
pub(crate) async fn token(
    State(app): State<Arc<App>>,
    Path(provider): Path<String>,
    client: Client,
    Input(brought): Input<Brought>,
) -> Result<Response, SocialError> {
    let provider = app.social.provider(&provider)?;
    let now = app.clock.now();
    let nonce = Token::parse(&brought.nonce).ok_or(SocialError::InvalidNonce)?;
    // Spent before the token is looked at, so that no token has two tries at it.
    if !store::take_nonce(&app.pool, &nonce.hash(), provider.name, now).await? {
        return Err(SocialError::InvalidNonce);
    }
    let hashed = hex(&s256(&brought.nonce));
    let nonces = [&*brought.nonce, &*hashed];
    let code = brought.authorization_code.as_deref();
    let mut arrival = within(provider.prove_native(&brought.id_token, &nonces, code, now)).await?;
    if arrival.provider == ProviderName::Apple {
        arrival.name = brought.name.and_then(plain);
    }
    let mut tx = app.pool.begin().await?;
    let entered = enter(&app, &mut tx, &arrival, &client, now).await?;
    tx.commit().await?;
    Ok(entered.into_response())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
