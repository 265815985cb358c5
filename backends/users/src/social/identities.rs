//! What opens somebody's account beside their own proofs: `/v1/me/identities`.
//!
//! Linking takes proof of both sides in one hand: the provider's word, as a code that is good once and
//! bound to that very account of the provider's, and a caller who has proven freshly who they are
//! here. No mail is sent that only needs a click: whoever clicks may not know what they agree to.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State, rejection::PathRejection},
    http::StatusCode,
};
use events::Notice;
use serde::{Deserialize, Serialize};
use time::{Duration, OffsetDateTime};
use utoipa::ToSchema;
use uuid::Uuid;
use web::{Input, SignedIn};

use super::{
    ProviderName, Purpose, SocialError, browser::Token, ceremony::Started, farewell, store,
};
use crate::{
    App, account,
    audit::{self, Act},
    notice,
    step_up::Fresh,
};

/// Identities that an account may have.
pub(super) const MAX: i64 = 10;
/// From the page that links to the provider is one step.
const TICKET_TTL: Duration = Duration::minutes(2);

/// An account of another provider's, as its owner sees it.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Identity {
    pub(super) id: Uuid,
    pub(super) provider: ProviderName,
    /// As the provider told it.
    pub(super) email: Option<String>,
    #[serde(with = "time::serde::rfc3339")]
    pub(super) linked_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339::option")]
    pub(super) last_used_at: Option<OffsetDateTime>,
}

/// Those of one person.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Identities {
    items: Vec<Identity>,
}

/// Where to go in the end, as for a sign-in.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LinkWish {
    #[schema(max_length = 2048)]
    return_to: String,
    #[schema(min_length = 43, max_length = 43)]
    code_challenge: String,
}

/// Where the browser goes now.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LinkBegun {
    location: String,
    /// In seconds.
    expires_in: i64,
}

/// The provider's word.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LinkProof {
    /// From behind the `#`, or the `link_code` of a sign-in that was answered `link_required`.
    #[schema(max_length = 128)]
    code: String,
    /// With a code from behind the `#`.
    #[serde(default)]
    #[schema(nullable = false, min_length = 43, max_length = 128)]
    code_verifier: Option<String>,
}

/// Lists what the caller has linked.
#[utoipa::path(
    get, path = "/v1/me/identities", operation_id = "listIdentities", tag = "me",
    responses(
        (status = 200, description = "The oldest first", body = Identities),
        (status = 403, description = "By a key, or another way without a session (`session_required`)"),
        (status = 401, description = "Nobody is signed in (`unauthenticated`)"),
    )
)]
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    SignedIn(caller): SignedIn,
) -> Result<Json<Identities>, SocialError> {
    let items = store::identities(&app.pool, caller.user_id, MAX).await?;
    Ok(Json(Identities { items }))
}

/// Begins to link: the browser goes to `location`, and comes to `return_to` with a code for
/// `addIdentity`. The code is good for the caller's account alone.
#[utoipa::path(
    post, path = "/v1/me/identities/{id}/link", operation_id = "linkIdentity", tag = "me",
    params(("id" = String, Path, description = "A provider of `/v1/auth/providers`")),
    request_body = LinkWish,
    responses(
        (status = 200, description = "Where the browser goes", body = LinkBegun),
        (status = 400, description = "Not a page to return to (`bad_return_to`), or no good challenge (`bad_code_challenge`)"),
        (status = 401, description = "Nobody is signed in (`unauthenticated`)"),
        (status = 403, description = "A fresh proof is due (`second_factor_required`)"),
        (status = 404, description = "No such provider is offered"),
    )
)]
pub(crate) async fn link(
    State(app): State<Arc<App>>,
    Fresh(caller): Fresh,
    Path(provider): Path<String>,
    Input(wish): Input<LinkWish>,
) -> Result<Json<LinkBegun>, SocialError> {
    let provider = app.social.provider(&provider)?.name;
    let back = app
        .social
        .back(Some(wish.return_to), Some(wish.code_challenge))?;
    let started = Started {
        back,
        account_id: Some(caller.user_id),
    };
    let ticket = Token::random()?;
    let expires_at = app.clock.now() + TICKET_TTL;
    let mut connection = app.pool.acquire().await?;
    store::keep_start(
        &mut connection,
        &ticket.hash(),
        provider,
        None,
        &started,
        expires_at,
    )
    .await?;
    Ok(Json(LinkBegun {
        location: format!(
            "{}/v1/auth/social/{provider}/start?ticket={}",
            app.social.base_url,
            ticket.text()
        ),
        expires_in: TICKET_TTL.whole_seconds(),
    }))
}

/// Links what a provider has vouched for. From now on it opens the caller's account; its owner is told.
#[utoipa::path(
    post, path = "/v1/me/identities", operation_id = "addIdentity", tag = "me",
    request_body = LinkProof,
    responses(
        (status = 201, description = "It is linked", body = Identity),
        (status = 400, description = "The code is not good, no longer, or for another account (`invalid_code`)"),
        (status = 401, description = "Nobody is signed in (`unauthenticated`)"),
        (status = 403, description = "A fresh proof is due (`second_factor_required`)"),
        (status = 409, description = "It opens another account (`identity_taken`), or there are too many (`too_many_identities`)"),
    )
)]
pub(crate) async fn add(
    State(app): State<Arc<App>>,
    Fresh(caller): Fresh,
    Input(LinkProof {
        code,
        code_verifier,
    }): Input<LinkProof>,
) -> Result<(StatusCode, Json<Identity>), SocialError> {
    let now = app.clock.now();
    let user_id = caller.user_id;
    let mut tx = app.pool.begin().await?;
    let vouched = app
        .social
        .take(&mut tx, Purpose::Link, &code, code_verifier.as_deref(), now)
        .await?
        .filter(|vouched| vouched.account_id.is_none_or(|id| id == user_id));
    let Some(vouched) = vouched else {
        tx.commit().await?;
        return Err(SocialError::InvalidCode);
    };
    let arrival = vouched.arrival;
    // Held until the commit, so that those who link and remove at once are judged one by one.
    let account = account::store::hold(&mut tx, user_id).await?;
    let account = account.ok_or(SocialError::Gone)?;
    if store::count(&mut tx, user_id).await? >= MAX {
        return Err(SocialError::TooMany);
    }
    let id = Uuid::now_v7();
    let sealed = app.social.sealed(&arrival)?;
    if !store::add_identity(&mut tx, id, user_id, &arrival, sealed, now).await? {
        return Err(SocialError::Taken);
    }
    audit::record(&mut tx, now, Act::IdentityLinked, user_id, caller.sid).await?;
    let title = Some(arrival.provider.title());
    notice::tell(&mut tx, &account, Notice::IdentityLinked, title, now).await?;
    tx.commit().await?;
    tracing::info!(%user_id, provider = %arrival.provider, "an identity was linked");
    let identity = Identity {
        id,
        provider: arrival.provider,
        email: arrival.email,
        linked_at: now,
        last_used_at: None,
    };
    Ok((StatusCode::CREATED, Json(identity)))
}

/// Removes a link: it opens the account no longer, and the provider's permission is given back where
/// there is one. The last way into an account can't be removed.
#[utoipa::path(
    delete, path = "/v1/me/identities/{id}", operation_id = "removeIdentity", tag = "me",
    params(("id" = Uuid, Path, description = "Of `listIdentities`")),
    responses(
        (status = 204, description = "It is gone"),
        (status = 401, description = "Nobody is signed in (`unauthenticated`)"),
        (status = 403, description = "A fresh proof is due (`second_factor_required`)"),
        (status = 404, description = "No such identity of the caller's"),
        (status = 409, description = "It is the last way in (`last_way_in`)"),
    )
)]
pub(crate) async fn remove(
    State(app): State<Arc<App>>,
    Fresh(caller): Fresh,
    id: Result<Path<Uuid>, PathRejection>,
) -> Result<StatusCode, SocialError> {
    let Path(id) = id.map_err(|_| SocialError::NotFound)?;
    let now = app.clock.now();
    let user_id = caller.user_id;
    let mut tx = app.pool.begin().await?;
    let account = account::store::hold(&mut tx, user_id).await?;
    let account = account.ok_or(SocialError::Gone)?;
    let removed = store::remove_identity(&mut tx, user_id, id).await?;
    let provider = removed.ok_or(SocialError::NotFound)?;
    if !account::store::has_way_in(&mut tx, user_id).await? {
        return Err(SocialError::LastWayIn);
    }
    audit::record(&mut tx, now, Act::IdentityRemoved, user_id, caller.sid).await?;
    let title = Some(provider.title());
    notice::tell(&mut tx, &account, Notice::IdentityRemoved, title, now).await?;
    tx.commit().await?;
    tracing::info!(%user_id, %provider, "an identity was removed");
    // At once where that is possible; the job does it else.
    tokio::spawn(farewell::bid_and_log(app));
    Ok(StatusCode::NO_CONTENT)
}
