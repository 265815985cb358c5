//! Where browsers and password managers find the pages of this product: conventions of the web that
//! say nothing of anybody.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use url::Url;
use utoipa::ToSchema;
use web::Problem;

use crate::App;

/// The addresses of pages, where there are any.
pub(crate) struct Pages {
    password: Option<String>,
    passkeys: Option<String>,
}

impl Pages {
    /// Each is a path below `base_url`, or an address of its own.
    pub(crate) fn new(
        base_url: &str,
        password: Option<&str>,
        passkeys: Option<&str>,
    ) -> Result<Self, url::ParseError> {
        let base = Url::parse(base_url)?;
        let page = |page: Option<&str>| {
            let page = page.map(|page| base.join(page)).transpose();
            page.map(|page| page.map(String::from))
        };
        Ok(Self {
            password: page(password)?,
            passkeys: page(passkeys)?,
        })
    }
}

/// Where passkeys are made and looked after. An empty answer says that we take passkeys.
#[derive(Serialize, ToSchema)]
pub(crate) struct PasskeyEndpoints {
    #[serde(skip_serializing_if = "Option::is_none")]
    enroll: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    manage: Option<String>,
}

/// Shows the page where a password is changed (W3C, "A Well-Known URL for Changing Passwords").
#[utoipa::path(
    get, path = "/.well-known/change-password", operation_id = "changePasswordPage", tag = "auth",
    responses(
        (status = 303, description = "The page", headers(("location" = String, description = "Where it is"))),
        (status = 404, description = "No page was named (`not_found`)"),
    )
)]
pub(crate) async fn change_password(State(app): State<Arc<App>>) -> Result<Response, Problem> {
    let page = app.pages.password.clone().ok_or_else(Problem::not_found)?;
    Ok((StatusCode::SEE_OTHER, [(header::LOCATION, page)]).into_response())
}

/// Says where passkeys are made and looked after (W3C, "A Well-Known URL for Relying Party Passkey
/// Endpoints").
#[utoipa::path(
    get, path = "/.well-known/passkey-endpoints", operation_id = "passkeyEndpoints", tag = "auth",
    responses((status = 200, description = "The pages, where they were named", body = PasskeyEndpoints))
)]
pub(crate) async fn passkey_endpoints(State(app): State<Arc<App>>) -> Json<PasskeyEndpoints> {
    let page = &app.pages.passkeys;
    Json(PasskeyEndpoints {
        enroll: page.clone(),
        manage: page.clone(),
    })
}
