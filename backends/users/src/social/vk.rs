//! VK ID: OAuth 2.1 with PKCE, and a `device_id` that comes with the code and goes back with it. Who
//! somebody is, is asked with the access token, since VK ID publishes neither keys nor a nonce for
//! its ID token. Nor does it say that an address is verified, so none counts as proven.

use anyhow::Context;
use axum::http::StatusCode;
use serde::{Deserialize, de::IgnoredAny};
use url::Url;

use super::http::{Answered, endpoint};

/// Where VK ID does what.
pub(super) struct Places {
    pub(super) authorization: Url,
    pub(super) token: Url,
    pub(super) person: Url,
}

impl Places {
    pub(super) fn new(issuer: &str) -> anyhow::Result<Self> {
        let base = endpoint(issuer)?;
        let join = |path| base.join(path).context("joining VK ID's paths");
        Ok(Self {
            authorization: join("/authorize")?,
            token: join("/oauth2/auth")?,
            person: join("/oauth2/user_info")?,
        })
    }
}

/// What a code is changed for.
pub(super) struct Grant {
    pub(super) access_token: String,
    pub(super) user_id: u64,
}

/// Reads an answer to a code. VK ID reports failures with 200 too.
pub(super) fn grant(answer: &Answered, state: &str) -> Option<Grant> {
    #[derive(Deserialize)]
    struct Written {
        access_token: String,
        user_id: u64,
        state: Option<String>,
        error: Option<IgnoredAny>,
    }
    if answer.status != StatusCode::OK {
        return None;
    }
    let written: Written = answer.json()?;
    let good = written.error.is_none()
        && written.user_id != 0
        && !written.access_token.is_empty()
        // What it repeats is what we sent.
        && written.state.is_none_or(|said| said == state);
    good.then_some(Grant {
        access_token: written.access_token,
        user_id: written.user_id,
    })
}

/// A person of VK ID.
pub(super) struct Person {
    pub(super) email: Option<String>,
    pub(super) name: String,
}

/// Reads who somebody is, if it is whom the code was for.
pub(super) fn person(answer: &Answered, user_id: u64) -> Option<Person> {
    #[derive(Deserialize)]
    struct Written {
        user: User,
        error: Option<IgnoredAny>,
    }
    #[derive(Deserialize)]
    struct User {
        // A text here, and a number beside the token.
        user_id: String,
        #[serde(default)]
        first_name: String,
        #[serde(default)]
        last_name: String,
        email: Option<String>,
    }
    if answer.status != StatusCode::OK {
        return None;
    }
    let Written { user, error } = answer.json()?;
    (error.is_none() && user.user_id == user_id.to_string()).then(|| Person {
        email: user.email,
        name: format!("{} {}", user.first_name, user.last_name),
    })
}
