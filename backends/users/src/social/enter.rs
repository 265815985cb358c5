//! Somebody for whom a provider vouches comes in, or becomes somebody: `POST
//! /v1/auth/social/exchange`, and what the other two ways of being vouched for end in.

use std::sync::Arc;

use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use events::UserVerified;
use serde::Deserialize;
use serde_json::json;
use sqlx::PgConnection;
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;
use web::{Input, Problem};

use super::{Purpose, SocialError, TTL, browser::Token, provider::Arrival, store};
use crate::{
    App, SCHEMA,
    account::{self, Account},
    audit::{self, Act},
    challenge,
    client::Client,
    contact::Contact,
    email::Email,
    factor::Factor,
    login::{Entrance, complete_login},
    session::Tokens,
};

/// A code from behind the `#`, and the secret whose S256 was the `code_challenge`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Exchange {
    #[schema(max_length = 128)]
    code: String,
    #[schema(min_length = 43, max_length = 128)]
    code_verifier: String,
}

/// What becomes of somebody for whom a provider vouches. The story commits in each case.
pub(super) enum Entered {
    /// They have come to the gate.
    Through(Entrance),
    /// They are nobody yet, and must show first who they are: the code links, afterwards.
    LinkRequired(Token),
}

/// Signs in with the code that `return_to` was sent.
#[utoipa::path(
    post, path = "/v1/auth/social/exchange", operation_id = "exchangeSocial", tag = "auth",
    request_body = Exchange,
    responses(
        (status = 200, description = "Signed in", body = Tokens),
        (status = 400, description = "The code is not good, or no longer (`invalid_code`)"),
        (status = 401, description = "An account is to be linked first (`link_required`, with a `link_code` for `addIdentity`), or a second factor is due (`mfa_required`)"),
        (status = 403, description = "The account is banned (`account_banned`) or given up (`account_deleted`)"),
    )
)]
pub(crate) async fn exchange(
    State(app): State<Arc<App>>,
    client: Client,
    Input(Exchange {
        code,
        code_verifier,
    }): Input<Exchange>,
) -> Result<Response, SocialError> {
    let now = app.clock.now();
    let mut tx = app.pool.begin().await?;
    let vouched = app
        .social
        .take(&mut tx, Purpose::SignIn, &code, Some(&code_verifier), now)
        .await?;
    let Some(vouched) = vouched else {
        tx.commit().await?;
        return Err(SocialError::InvalidCode);
    };
    let entered = enter(&app, &mut tx, &vouched.arrival, &client, now).await?;
    tx.commit().await?;
    Ok(entered.into_response())
}

/// Lets somebody in whose account of the provider's is known. One that is not begins an account if
/// its address is proven and nobody's; else it is the same answer for all: an address that has an
/// account, one that the provider can't vouch for, and none.
pub(super) async fn enter(
    app: &App,
    tx: &mut PgConnection,
    arrival: &Arrival,
    client: &Client,
    now: OffsetDateTime,
) -> Result<Entered, SocialError> {
    let sealed = app.social.sealed(arrival)?;
    if let Some(owner) = store::owner(tx, arrival).await?
        && let Some(account) = account::store::hold(tx, owner).await?
        && store::use_identity(tx, owner, arrival, sealed, now).await?
    {
        return through(app, tx, &account, client).await;
    }
    let email = arrival.proven_email.as_deref();
    let email = email.and_then(|email| Email::parse(email).ok());
    let owner = match email {
        None => None,
        Some(email) => match begin(app, tx, arrival, &email, now).await? {
            Some(account) => return through(app, tx, &account, client).await,
            // Theirs alone may be linked: a provider's account with Ann's address is Ann's, and
            // nobody can be talked into taking it for their own.
            None => account::store::by_email(&mut *tx, &email).await?,
        },
    };
    let owner = owner.map(|account| account.id);
    let code = app
        .social
        .keep(tx, Purpose::Link, None, owner, arrival, now)
        .await?;
    Ok(Entered::LinkRequired(code))
}

async fn through(
    app: &App,
    tx: &mut PgConnection,
    account: &Account,
    client: &Client,
) -> Result<Entered, SocialError> {
    let entrance = complete_login(app, tx, account, &[Factor::Social], client).await?;
    Ok(Entered::Through(entrance))
}

/// Begins an account without a password, unless the address has one. The provider's word is the proof
/// of the address, so whatever others had begun with it ends here (pre-hijacking). Of all that the
/// provider says only the address and the name get in.
async fn begin(
    app: &App,
    tx: &mut PgConnection,
    arrival: &Arrival,
    email: &Email,
    now: OffsetDateTime,
) -> Result<Option<Account>, SocialError> {
    let user_id = Uuid::now_v7();
    let contact = Contact::Email(email.clone());
    if !account::store::begin(tx, user_id, &contact, None, now).await? {
        return Ok(None);
    }
    challenge::end_others(tx, email.as_str()).await?;
    account::store::grant(tx, user_id, account::DEFAULT_ROLE, now).await?;
    if let Some(name) = &arrival.name {
        account::store::rename(&mut *tx, user_id, Some(name)).await?;
    }
    let sealed = app.social.sealed(arrival)?;
    store::add_identity(tx, Uuid::now_v7(), user_id, arrival, sealed, now).await?;
    audit::record(tx, now, Act::Verified, user_id, None).await?;
    audit::record(tx, now, Act::IdentityLinked, user_id, None).await?;
    let verified = UserVerified {
        user_id,
        email: Some(email.as_str().to_owned()),
        phone: None,
    };
    pg::outbox::publish(tx, SCHEMA, &verified).await?;
    tracing::info!(%user_id, provider = %arrival.provider, "an account is open");
    Ok(account::store::by_id(tx, user_id).await?)
}

impl IntoResponse for Entered {
    fn into_response(self) -> Response {
        match self {
            Self::Through(entrance) => entrance.into_response(),
            Self::LinkRequired(code) => Problem::new(
                StatusCode::UNAUTHORIZED,
                "link_required",
                "Sign in or register, then link",
            )
            .detail("sign in another way, and give `link_code` to POST /v1/me/identities")
            .with("link_code", json!(code.text()))
            .with("expires_in", json!(TTL.whole_seconds()))
            .into_response(),
        }
    }
}
