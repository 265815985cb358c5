//! Who asks: a service account that proves itself, or anybody.
//!
//! Three ways (RFC 6749 §2.3.1, RFC 7523 §2.2): its secret in `Authorization: Basic` or in the form,
//! or an assertion that a key of its own has signed, see [`assertion`]. Each refusal is the same one
//! whatever was wrong with the proof.

mod assertion;

use axum::http::{HeaderMap, header};
use base64::{Engine, prelude::BASE64_STANDARD};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use super::OauthError;
use crate::{App, service_account};

/// The one client that proves nothing: our own apps, in the hands of whoever signs in with them.
pub(crate) const PUBLIC_CLIENT: &str = "vorota";

/// A service account that has proven who it is.
pub(crate) struct Client {
    pub(crate) id: Uuid,
    /// Whether it may ask about the tokens of others.
    pub(crate) introspects: bool,
    /// What it may ask for, in alphabetical order.
    pub(crate) scopes: Vec<String>,
    pub(crate) roles: Vec<String>,
}

/// What every form says of who sends it.
#[derive(Deserialize, ToSchema)]
pub(crate) struct ClientFields {
    /// A service account's id; or `vorota`, which proves nothing.
    #[schema(nullable = false)]
    pub(super) client_id: Option<String>,
    #[schema(nullable = false, format = "password")]
    pub(super) client_secret: Option<String>,
    /// `urn:ietf:params:oauth:client-assertion-type:jwt-bearer`
    #[schema(nullable = false)]
    pub(super) client_assertion_type: Option<String>,
    /// A JWT of RFC 7523: EdDSA or ES256, `iss` and `sub` are the client's id, `aud` is our issuer or
    /// this endpoint, `exp` within five minutes, and a `jti` that was never used.
    #[schema(nullable = false)]
    pub(super) client_assertion: Option<String>,
}

/// The client that sent this, or none where it is nobody in particular.
pub(super) async fn authenticate(
    app: &App,
    headers: &HeaderMap,
    fields: &ClientFields,
    now: OffsetDateTime,
) -> Result<Option<Client>, OauthError> {
    let id = fields.client_id.as_deref();
    let authorization = headers.get_all(header::AUTHORIZATION);
    let basic = match &authorization.iter().collect::<Vec<_>>()[..] {
        [] => None,
        [one] => Some(basic(one.as_bytes()).ok_or(OauthError::InvalidClient)?),
        _ => {
            return Err(OauthError::InvalidRequest(
                "`Authorization` stands there twice",
            ));
        }
    };
    let ways = [
        basic.is_some(),
        fields.client_secret.is_some(),
        fields.client_assertion.is_some() || fields.client_assertion_type.is_some(),
    ];
    if ways.into_iter().filter(|way| *way).count() > 1 {
        return Err(OauthError::InvalidRequest(
            "a client proves itself in one way",
        ));
    }
    if let Some((basic_id, secret)) = &basic {
        if id.is_some_and(|id| id != basic_id) {
            return Err(OauthError::InvalidRequest(
                "`client_id` is another than in `Authorization`",
            ));
        }
        return by_secret(app, basic_id, secret, now).await.map(Some);
    }
    if let Some(secret) = &fields.client_secret {
        let id = id.ok_or(OauthError::InvalidRequest("`client_id` is missing"))?;
        return by_secret(app, id, secret, now).await.map(Some);
    }
    match (&fields.client_assertion_type, &fields.client_assertion) {
        (None, None) => {}
        (Some(kind), Some(assertion)) if kind == assertion::TYPE => {
            return assertion::prove(app, id, assertion, now).await.map(Some);
        }
        (Some(_), Some(_)) => {
            return Err(OauthError::InvalidRequest(
                "`client_assertion_type` is not known",
            ));
        }
        _ => {
            let words = "`client_assertion` and `client_assertion_type` go together";
            return Err(OauthError::InvalidRequest(words));
        }
    }
    match id {
        None | Some(PUBLIC_CLIENT) => Ok(None),
        Some(_) => Err(OauthError::InvalidClient),
    }
}

async fn by_secret(
    app: &App,
    id: &str,
    secret: &str,
    now: OffsetDateTime,
) -> Result<Client, OauthError> {
    let id: Uuid = id.parse().map_err(|_| OauthError::InvalidClient)?;
    // Looked up by the hash of 256 random bits: how long that takes tells nothing of the secret.
    let hash = Sha256::digest(secret).into();
    let client = service_account::store::by_secret(&app.pool, id, &hash, now).await?;
    client.ok_or(OauthError::InvalidClient)
}

/// Reads `Basic`: both parts are form-encoded before they are put together (RFC 6749 §2.3.1).
fn basic(value: &[u8]) -> Option<(String, String)> {
    let (scheme, text) = value.split_at_checked(6)?;
    if !scheme.eq_ignore_ascii_case(b"basic ") {
        return None;
    }
    let text = BASE64_STANDARD.decode(text.trim_ascii()).ok()?;
    let text = String::from_utf8(text).ok()?;
    let (id, secret) = text.split_once(':')?;
    Some((decoded(id)?, decoded(secret)?))
}

fn decoded(part: &str) -> Option<String> {
    // One value, and not two that an `&` parts.
    if part.contains(['&', '=']) {
        return None;
    }
    let (value, _) = form_urlencoded::parse(part.as_bytes()).next()?;
    Some(value.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn basic_is_two_form_encoded_parts() {
        let check = |text: &str, read: Option<(&str, &str)>| {
            let header = format!("Basic {}", BASE64_STANDARD.encode(text));
            let found = basic(header.as_bytes());
            let read = read.map(|(id, secret)| (id.to_owned(), secret.to_owned()));
            assert_eq!(found, read, "{text}");
        };
        check("id:secret", Some(("id", "secret")));
        check("a%3Ab:c%20d+e", Some(("a:b", "c d e")));
        check("id:with:colon", Some(("id", "with:colon")));
        check("id", None);
        check(":secret", None);
        check("id:a&b", None);
        assert_eq!(basic(b"Bearer abc"), None);
        assert_eq!(basic(b"Basic !"), None);
        assert_eq!(basic(b"Basic"), None);
        let lower = format!("basic {}", BASE64_STANDARD.encode("id:s"));
        assert!(basic(lower.as_bytes()).is_some());
    }
}
