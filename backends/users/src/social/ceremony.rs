//! A browser goes to a provider and comes back: `GET /v1/auth/social/{provider}/start` and
//! `/callback`.
//!
//! The page that begins it draws a secret, gives its S256 as `code_challenge`, and is handed a
//! one-time code behind the `#` of `return_to`, where no server and no `Referer` sees it. It signs in
//! with code and secret together. So a code that leaks is worth nothing, and a link that carries
//! somebody else's code finds a page that began nothing (login CSRF). Without `return_to` the callback
//! itself answers with JSON, for a program that drives its own browser view.

use std::sync::Arc;

use axum::{
    body::Bytes,
    extract::{Path, Query, RawQuery, State, rejection::QueryRejection},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use time::OffsetDateTime;
use url::form_urlencoded;
use web::Problem;

use super::{
    Back, Purpose, SocialError, TTL,
    answer::Answer,
    browser::{self, Halves, Return, Token},
    enter::enter,
    provider::{Arrival, Provider},
    store, within,
};
use crate::{App, client::Client, session::Tokens};

/// The longest form that a provider's page sends. Apple's is under 2 KiB.
const MAX_FORM_BYTES: usize = 16 * 1024;

/// How a browser begins.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Begin {
    return_to: Option<String>,
    code_challenge: Option<String>,
    ticket: Option<String>,
}

/// Sends a browser to the provider. With `return_to`, which must be one of the configured pages, it
/// comes to that page in the end with `#code=…` or `#error=…`; without, the callback answers with
/// JSON.
#[utoipa::path(
    get, path = "/v1/auth/social/{provider}/start", operation_id = "startSocial", tag = "auth",
    params(
        ("provider" = String, Path, description = "One of `/v1/auth/providers`"),
        ("return_to" = Option<String>, Query, description = "Where the browser goes in the end"),
        ("code_challenge" = Option<String>, Query,
            description = "BASE64URL of the SHA-256 of a secret of the page's; needed with `return_to`"),
        ("ticket" = Option<String>, Query, description = "Of somebody who links, in place of the other two"),
    ),
    responses(
        (status = 302, description = "To the provider"),
        (status = 400, description = "Not a page to return to (`bad_return_to`), no good challenge (`bad_code_challenge`), or the ticket is over (`invalid_state`)"),
        (status = 404, description = "No such provider is offered"),
        (status = 503, description = "The provider can't be reached (`provider_unavailable`)"),
    )
)]
pub(crate) async fn start(
    State(app): State<Arc<App>>,
    Path(provider): Path<String>,
    wish: Result<Query<Begin>, QueryRejection>,
) -> Result<Response, SocialError> {
    let Query(wish) = wish.map_err(|_| SocialError::BadRequest)?;
    let provider = app.social.provider(&provider)?;
    let now = app.clock.now();
    let back = match &wish.ticket {
        None => app.social.back(wish.return_to, wish.code_challenge)?,
        Some(_) if wish.return_to.is_some() || wish.code_challenge.is_some() => {
            return Err(SocialError::BadRequest);
        }
        Some(_) => None,
    };
    let halves = Halves::random()?;
    let url = within(provider.authorization(&halves, &app.social.key, now)).await?;
    let mut tx = app.pool.begin().await?;
    let started = match wish.ticket.as_deref() {
        None => Started {
            back,
            account_id: None,
        },
        Some(ticket) => {
            let ticket = Token::parse(ticket).ok_or(SocialError::InvalidState)?;
            store::take_start(&mut tx, &ticket.hash(), provider.name, None, now)
                .await?
                .ok_or(SocialError::InvalidState)?
        }
    };
    let (state, browser) = (halves.state.hash(), halves.browser.hash());
    store::keep_start(
        &mut tx,
        &state,
        provider.name,
        Some(&browser),
        &started,
        now + TTL,
    )
    .await?;
    tx.commit().await?;
    let cookie = browser::cookie(&halves.browser, provider.returns_by(), TTL.whole_seconds());
    let url = HeaderValue::try_from(url.as_str()).expect("a URL is visible ASCII");
    let headers = [(header::LOCATION, url), (header::SET_COOKIE, cookie)];
    Ok((StatusCode::FOUND, headers).into_response())
}

/// What was begun.
pub(super) struct Started {
    pub(super) back: Option<Back>,
    /// Who links; nobody signs in then.
    pub(super) account_id: Option<uuid::Uuid>,
}

/// Where Google and VK ID send browsers back to.
#[utoipa::path(
    get, path = "/v1/auth/social/{provider}/callback", operation_id = "finishSocial", tag = "auth",
    params(("provider" = String, Path, description = "One of `/v1/auth/providers`")),
    responses(
        (status = 200, description = "Signed in: where no `return_to` was given", body = Tokens),
        (status = 303, description = "To `return_to`, with `#code=…` or `#error=…`"),
        (status = 400, description = "This browser has no such sign-in under way (`invalid_state`), or the person said no (`access_denied`)"),
        (status = 401, description = "The provider does not vouch for anybody (`not_vouched`), an account is to be linked first (`link_required`), or a second factor is due (`mfa_required`)"),
        (status = 404, description = "No such provider is offered"),
        (status = 503, description = "The provider can't be reached (`provider_unavailable`)"),
    )
)]
pub(crate) async fn callback(
    State(app): State<Arc<App>>,
    Path(provider): Path<String>,
    client: Client,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, SocialError> {
    let brought = query.unwrap_or_default();
    come_back(
        &app,
        &provider,
        Return::Link,
        brought.as_bytes(),
        &headers,
        &client,
    )
    .await
}

/// Where Apple's page posts its form to.
#[utoipa::path(
    post, path = "/v1/auth/social/{provider}/callback", operation_id = "finishSocialForm", tag = "auth",
    params(("provider" = String, Path, description = "One of `/v1/auth/providers`")),
    request_body(content = String, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, description = "As `finishSocial`", body = Tokens),
        (status = 303, description = "As `finishSocial`"),
        (status = 400, description = "As `finishSocial`"),
        (status = 401, description = "As `finishSocial`"),
        (status = 404, description = "No such provider is offered"),
        (status = 503, description = "As `finishSocial`"),
    )
)]
pub(crate) async fn callback_form(
    State(app): State<Arc<App>>,
    Path(provider): Path<String>,
    client: Client,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, SocialError> {
    if body.len() > MAX_FORM_BYTES {
        return Err(SocialError::InvalidState);
    }
    come_back(&app, &provider, Return::Form, &body, &headers, &client).await
}

async fn come_back(
    app: &App,
    provider: &str,
    how: Return,
    brought: &[u8],
    headers: &HeaderMap,
    client: &Client,
) -> Result<Response, SocialError> {
    let provider = app.social.provider(provider)?;
    let now = app.clock.now();
    if provider.returns_by() != how {
        return Err(SocialError::InvalidState);
    }
    let answer = Answer::read(brought).ok_or(SocialError::InvalidState)?;
    let state = answer.state.as_deref().and_then(Token::parse);
    let (Some(state), Some(browser)) = (state, browser::read(headers)) else {
        return Err(SocialError::InvalidState);
    };
    // Taken before the provider is asked: a state is good once, whatever comes of it. One that another
    // browser brings stays where it is, so that nobody ends a stranger's sign-in.
    let taken = (state.hash(), browser.hash());
    let started = {
        let mut connection = app.pool.acquire().await?;
        store::take_start(
            &mut connection,
            &taken.0,
            provider.name,
            Some(&taken.1),
            now,
        )
        .await?
    };
    let started = started.ok_or(SocialError::InvalidState)?;

    let halves = Halves { state, browser };
    let vouched = vouch(app, provider, &answer, &halves, now).await;
    let mut response = match &started.back {
        Some(back) => send_home(app, back, &started, vouched, now).await?,
        None => {
            let mut tx = app.pool.begin().await?;
            let entered = enter(app, &mut tx, &vouched?, client, now).await?;
            tx.commit().await?;
            entered.into_response()
        }
    };
    let over = browser::no_cookie(how);
    response.headers_mut().append(header::SET_COOKIE, over);
    Ok(response)
}

async fn vouch(
    app: &App,
    provider: &Provider,
    answer: &Answer,
    halves: &Halves,
    now: OffsetDateTime,
) -> Result<Arrival, SocialError> {
    if answer.error.is_some() {
        return Err(SocialError::Denied);
    }
    let arrival = within(provider.prove(answer, halves, &app.social.key, now)).await?;
    Ok(arrival)
}

/// Sends the browser to the page that began it, with a code or with the reason why there is none.
async fn send_home(
    app: &App,
    back: &Back,
    started: &Started,
    vouched: Result<Arrival, SocialError>,
    now: OffsetDateTime,
) -> Result<Response, SocialError> {
    let (name, value) = match vouched {
        Ok(arrival) => {
            let purpose = match started.account_id {
                Some(_) => Purpose::Link,
                None => Purpose::SignIn,
            };
            let mut tx = app.pool.begin().await?;
            let challenge = Some(&back.challenge);
            let account_id = started.account_id;
            let code = app
                .social
                .keep(&mut tx, purpose, challenge, account_id, &arrival, now)
                .await?;
            tx.commit().await?;
            ("code", code.text())
        }
        Err(error) => ("error", Problem::from(error).code().to_owned()),
    };
    let said = form_urlencoded::Serializer::new(String::new())
        .append_pair(name, &value)
        .finish();
    let there = format!("{}#{said}", back.return_to);
    let there = HeaderValue::try_from(there).expect("a configured page is a URL: `check_page`");
    // 303, so that the browser does not post Apple's form on.
    Ok((StatusCode::SEE_OTHER, [(header::LOCATION, there)]).into_response())
}
