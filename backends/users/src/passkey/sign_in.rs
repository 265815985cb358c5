//! Signing in with nothing but a passkey: `POST /v1/auth/passkey/options` and `/verify`. Nobody is
//! named beforehand, so there is nobody to ask about: the answer is the same for all, and browsers
//! may ask for it while the page loads, to offer passkeys where a name would be typed.

use std::sync::Arc;

use axum::{Json, extract::State};
use serde::Deserialize;
use utoipa::ToSchema;
use web::Input;

use super::{
    Aim, PasskeyError, Unproven, begin, check, credential::Assertion, options::PasskeyRequest,
};
use crate::{
    App, account,
    audit::{self, Act, Entry},
    client::Client,
    factor::Factor,
    login::{self, Entrance},
    refusal::Shown,
    session::Tokens,
};

/// What a passkey says to the challenge.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PasskeySignIn {
    credential: Assertion,
}

/// Begins a sign-in with a passkey: the answer is what to ask `navigator.credentials.get()` for,
/// within five minutes.
#[utoipa::path(
    post, path = "/v1/auth/passkey/options", operation_id = "passkeyOptions", tag = "auth",
    responses((status = 200, description = "What to ask the browser for", body = PasskeyRequest))
)]
pub(crate) async fn options(
    State(app): State<Arc<App>>,
) -> Result<Json<PasskeyRequest>, PasskeyError> {
    let mut db = app.pool.acquire().await?;
    let challenge = begin(&mut db, &Aim::SignIn, app.clock.now()).await?;
    Ok(Json(PasskeyRequest::new(
        &app.party,
        &challenge,
        Vec::new(),
    )))
}

/// Signs in with a passkey.
#[utoipa::path(
    post, path = "/v1/auth/passkey/verify", operation_id = "passkeyVerify", tag = "auth",
    request_body = PasskeySignIn,
    responses(
        (status = 200, description = "Signed in", body = Tokens),
        (status = 401, description = "The passkey proves nobody (`invalid_credentials`)"),
    )
)]
pub(crate) async fn verify(
    State(app): State<Arc<App>>,
    client: Client,
    Input(PasskeySignIn { credential }): Input<PasskeySignIn>,
) -> Result<Entrance, PasskeyError> {
    let now = app.clock.now();
    let mut tx = app.pool.begin().await?;
    let account = match check(&app, &mut tx, &Aim::SignIn, &credential, now).await? {
        Ok(account_id) => account::store::by_id(&mut *tx, account_id).await?,
        Err(Unproven { account_id }) => {
            app.refusals.count(Shown::Passkey);
            match account_id {
                Some(id) => {
                    let refused = Entry::new(Act::SignInRefused, id).from(&client);
                    refused.record(&mut tx, now).await?;
                }
                None => audit::record_stranger(&mut tx, &client, now).await?,
            }
            tx.commit().await?;
            return Err(PasskeyError::NotProven);
        }
    };
    let account = account.ok_or(PasskeyError::NotProven)?;
    let proven = [Factor::Passkey];
    let entrance = login::complete_login(&app, &mut tx, &account, &proven, &client).await?;
    tx.commit().await?;
    Ok(entrance)
}
