//! Making a passkey: `POST /v1/me/passkeys/options`, then `POST /v1/me/passkeys` with what the
//! browser has made of them. A challenge makes one passkey, so a lost answer is no reason to ask
//! again: the passkey is in the list, and the browser knows it.

use std::sync::Arc;

use axum::{Json, extract::State, http::StatusCode};
use events::Notice;
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;
use web::{Caller, Input};

use super::{
    Aim, Flaw, MAX_PASSKEYS, PasskeyError, answered,
    authenticator::AuthenticatorData,
    begin,
    credential::{NewCredential, PasskeyName},
    keep::PasskeyView,
    options::PasskeyCreation,
    public_key::PublicKey,
    store::{self, NewPasskey},
};
use crate::{
    App, account,
    audit::{self, Act},
    notice,
    step_up::Fresh,
};

/// A passkey that was made, and what it is to be called.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PasskeyWish {
    name: PasskeyName,
    credential: NewCredential,
}

/// Begins a passkey: the answer is what to ask `navigator.credentials.create()` for, within five
/// minutes and in the same session.
#[utoipa::path(
    post, path = "/v1/me/passkeys/options", operation_id = "passkeyCreationOptions", tag = "me",
    responses(
        (status = 200, description = "What to ask the browser for", body = PasskeyCreation),
        (status = 403, description = "A fresh proof is due (`second_factor_required`)"),
        (status = 409, description = "`too_many_passkeys`"),
    )
)]
pub(crate) async fn options(
    State(app): State<Arc<App>>,
    Fresh(caller): Fresh,
) -> Result<Json<PasskeyCreation>, PasskeyError> {
    let now = app.clock.now();
    let mut tx = app.pool.begin().await?;
    let account = account::store::by_id(&mut *tx, caller.user_id)
        .await?
        .ok_or(PasskeyError::Gone)?;
    // Told before somebody makes one in vain; what decides is the count at the end.
    let known = store::descriptors(&mut tx, account.id, MAX_PASSKEYS).await?;
    if known.len() as i64 >= MAX_PASSKEYS {
        return Err(PasskeyError::TooMany);
    }
    let session = session_of(&caller)?;
    let aim = Aim::Enrol {
        account_id: account.id,
        session: &session,
    };
    let challenge = begin(&mut tx, &aim, now).await?;
    tx.commit().await?;
    let options = PasskeyCreation::new(&app.party, &app.product, &account, &challenge, known);
    Ok(Json(options))
}

/// Adds a passkey to the account. From now on it is a way in, and a second factor.
#[utoipa::path(
    post, path = "/v1/me/passkeys", operation_id = "addPasskey", tag = "me",
    request_body = PasskeyWish,
    responses(
        (status = 201, description = "The passkey", body = PasskeyView),
        (status = 403, description = "A fresh proof is due (`second_factor_required`)"),
        (status = 409, description = "`passkey_known` or `too_many_passkeys`"),
        (status = 422, description = "`passkey_refused`: the detail says why"),
    )
)]
pub(crate) async fn add(
    State(app): State<Arc<App>>,
    Fresh(caller): Fresh,
    Input(PasskeyWish { name, credential }): Input<PasskeyWish>,
) -> Result<(StatusCode, Json<PasskeyView>), PasskeyError> {
    let now = app.clock.now();
    let account_id = caller.user_id;
    let mut tx = app.pool.begin().await?;
    let account = account::store::hold(&mut tx, account_id).await?;
    let account = account.ok_or(PasskeyError::Gone)?;
    let session = session_of(&caller)?;
    let aim = Aim::Enrol {
        account_id,
        session: &session,
    };
    let client_data_json = &credential.response.client_data_json.0;
    let read = match answered(&app, &mut tx, &aim, client_data_json, now).await? {
        Ok(()) => read(&app, &credential),
        Err(flaw) => Err(flaw),
    };
    let data = match read {
        Ok(data) => data,
        Err(flaw) => {
            tracing::info!(user_id = %account_id, %flaw, "a passkey was refused");
            // The challenge is spent all the same.
            tx.commit().await?;
            return Err(flaw.into());
        }
    };
    if store::count(&mut tx, account_id).await? >= MAX_PASSKEYS {
        tx.commit().await?;
        return Err(PasskeyError::TooMany);
    }
    let made = data
        .credential
        .as_ref()
        .ok_or(Flaw::Malformed("credential"))?;
    let transports = credential.response.transports();
    let new = NewPasskey {
        id: Uuid::now_v7(),
        account_id,
        name: name.as_str(),
        credential_id: made.id,
        public_key: made.key,
        sign_count: data.sign_count,
        backup_eligible: data.is_backup_eligible(),
        backed_up: data.is_backed_up(),
        aaguid: made.aaguid,
        transports: &transports,
        discoverable: credential.client_extension_results.cred_props.rk,
    };
    if !store::add(&mut tx, &new, now).await? {
        tx.commit().await?;
        return Err(PasskeyError::Known);
    }
    let view = store::by_id(&mut tx, account_id, new.id)
        .await?
        .ok_or(PasskeyError::NotFound)?;
    audit::record(&mut tx, now, Act::PasskeyAdded, account_id, caller.sid).await?;
    notice::tell(
        &mut tx,
        &account,
        Notice::SecondFactorAdded,
        Some(&view.name),
        now,
    )
    .await?;
    tx.commit().await?;
    tracing::info!(user_id = %account_id, passkey_id = %view.id, "a passkey was added");
    Ok((StatusCode::CREATED, Json(view)))
}

/// Steps 12 to 26 of §7.1, but for those that [`answered`] has done and those of the store.
fn read<'a>(app: &App, credential: &'a NewCredential) -> Result<AuthenticatorData<'a>, Flaw> {
    let data = AuthenticatorData::attested(&credential.response.attestation_object.0)?;
    data.judge(&app.party)?;
    let made = data
        .credential
        .as_ref()
        .ok_or(Flaw::Malformed("authenticator data"))?;
    if made.id != credential.id.0 {
        return Err(Flaw::Malformed("id"));
    }
    PublicKey::parse(made.key)?;
    Ok(data)
}

fn session_of(caller: &Caller) -> Result<String, PasskeyError> {
    let session = caller.sid.ok_or(PasskeyError::NotSignedIn)?;
    Ok(session.to_string())
}
