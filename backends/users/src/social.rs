//! Signing in with an account of another provider: Google, Apple, VK ID.
//!
//! With a browser: `start` sends it to the provider, which sends it back to `callback`
//! ([`ceremony`]), and the page that began it signs in with a one-time code ([`enter`]); no token is
//! ever in an address. An app on a phone brings the provider's ID token instead ([`native`]). What
//! somebody has linked stands under `/v1/me/identities` ([`identities`]); a permission that is over is
//! given back to the provider ([`farewell`]).
//!
//! Beneath: [`provider`] is one of them, [`apple`] and [`vk`] what those do their own way, [`directory`]
//! what a provider says of itself, [`id_token`] whom it vouches for, [`browser`] the two halves of a
//! sign-in that is under way.
//!
//! An account of theirs is known by (issuer, subject) and by nothing else. An address alone links
//! nothing: who comes with one that has an account here, or that the provider can't know to be theirs,
//! signs in here first and links then.

mod answer;
mod apple;
mod browser;
pub(crate) mod ceremony;
mod directory;
pub(crate) mod enter;
pub(crate) mod farewell;
mod http;
mod id_token;
pub(crate) mod identities;
pub(crate) mod native;
mod provider;
pub(crate) mod settings;
mod store;
mod vk;

use std::sync::Arc;

use anyhow::{Context, ensure};
use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::Serialize;
use sqlx::PgConnection;
use subtle::ConstantTimeEq;
use thiserror::Error;
use time::{Duration, OffsetDateTime};
use url::Url;
use utoipa::ToSchema;
use uuid::Uuid;
use web::Problem;

use browser::{Token, s256};
use http::{Away, Http};
use provider::{Arrival, Provider, ProviderError, ProviderName};
pub(crate) use store::sweep;

use crate::{App, key::Key, login::LoginError};

/// Google's issuer, which its tokens spell in two ways.
const GOOGLE: &str = "https://accounts.google.com";
/// How long a browser may be away at a provider, and a code be carried from one page to the next.
const TTL: Duration = Duration::minutes(10);
/// Whatever is asked of a provider is answered within this time, or the provider is away.
const WITHIN: std::time::Duration = std::time::Duration::from_secs(8);

/// What the stories share.
pub(crate) struct Desk {
    providers: Vec<Provider>,
    return_to: Vec<String>,
    /// Where browsers find us.
    base_url: String,
    /// Makes nonces and verifiers.
    key: Key,
    /// Seals what must be read again.
    seal: Key,
}

impl Desk {
    pub(crate) fn new(
        settings: settings::Social,
        base_url: &str,
        key: &Key,
    ) -> anyhow::Result<Self> {
        let base_url = base_url.trim_end_matches('/');
        let back = |name: ProviderName| format!("{base_url}/v1/auth/social/{name}/callback");
        let settings::Social {
            google,
            apple,
            vk,
            return_to,
        } = settings;
        let mut providers = Vec::new();
        if google.is_some() || apple.is_some() || vk.is_some() {
            let http = Http::new()?;
            let google = google.map(|it| {
                Provider::google(it, back(ProviderName::Google), http.clone())
                    .context("reading `social.google`")
            });
            let apple = apple.map(|it| {
                Provider::apple(it, back(ProviderName::Apple), http.clone())
                    .context("reading `social.apple`")
            });
            let vk = vk.map(|it| {
                Provider::vk(it, back(ProviderName::Vk), http.clone())
                    .context("reading `social.vk`")
            });
            for provider in [google, apple, vk].into_iter().flatten() {
                providers.push(provider?);
            }
        }
        for page in &return_to {
            check_page(page).with_context(|| format!("reading `social.return_to`: {page}"))?;
        }
        Ok(Self {
            providers,
            return_to,
            base_url: base_url.to_owned(),
            key: key.derive("social sign-in"),
            seal: key.derive("social secrets"),
        })
    }

    /// Whether there is a provider that wants its permissions back.
    pub(crate) fn gives_back(&self) -> bool {
        self.providers
            .iter()
            .any(|it| it.name == ProviderName::Apple)
    }

    fn provider(&self, name: &str) -> Result<&Provider, SocialError> {
        let name = ProviderName::parse(name).ok_or(SocialError::UnknownProvider)?;
        let provider = self.providers.iter().find(|it| it.name == name);
        provider.ok_or(SocialError::UnknownProvider)
    }

    /// Reads where a browser shall go in the end. The address is one that the operator has named, to
    /// the last byte: whatever else a browser may read in it, it was read by the operator too.
    fn back(
        &self,
        return_to: Option<String>,
        code_challenge: Option<String>,
    ) -> Result<Option<Back>, SocialError> {
        let Some(return_to) = return_to else {
            return match code_challenge {
                None => Ok(None),
                Some(_) => Err(SocialError::ReturnTo),
            };
        };
        if !self.return_to.contains(&return_to) {
            return Err(SocialError::ReturnTo);
        }
        let challenge = code_challenge
            .as_deref()
            .and_then(Token::parse)
            .ok_or(SocialError::Challenge)?;
        Ok(Some(Back {
            return_to,
            challenge,
        }))
    }

    /// Keeps what a provider has vouched for, and gives the code that it is had for, once.
    async fn keep(
        &self,
        tx: &mut PgConnection,
        purpose: Purpose,
        challenge: Option<&Token>,
        account_id: Option<Uuid>,
        arrival: &Arrival,
        now: OffsetDateTime,
    ) -> Result<Token, SocialError> {
        let code = Token::random()?;
        let plain = serde_json::to_vec(arrival).expect("an arrival is plain data");
        let proof = store::Proof {
            purpose: purpose.name().to_owned(),
            challenge: challenge.map(|it| it.bytes().to_vec()),
            account_id,
            arrival: self.seal.seal(&code.hash(), &plain)?,
        };
        store::keep_proof(tx, &code.hash(), &proof, now + TTL).await?;
        Ok(code)
    }

    /// Takes it out, whoever asks: a code that was tried with the wrong verifier has been stolen.
    /// So the caller commits in each case.
    async fn take(
        &self,
        tx: &mut PgConnection,
        purpose: Purpose,
        code: &str,
        verifier: Option<&str>,
        now: OffsetDateTime,
    ) -> Result<Option<Vouched>, SocialError> {
        let Some(code) = Token::parse(code) else {
            return Ok(None);
        };
        let Some(proof) = store::take_proof(tx, &code.hash(), now).await? else {
            return Ok(None);
        };
        let fits = match (&proof.challenge, verifier) {
            (None, None) => true,
            (Some(challenge), Some(verifier)) => s256(verifier)[..].ct_eq(challenge).into(),
            _ => false,
        };
        if !fits || proof.purpose != purpose.name() {
            return Ok(None);
        }
        let plain = self.seal.open(&code.hash(), &proof.arrival);
        let arrival = plain.and_then(|plain| serde_json::from_slice(&plain).ok());
        Ok(arrival.map(|arrival| Vouched {
            arrival,
            account_id: proof.account_id,
        }))
    }

    /// A refresh token as it is kept, with the client that it belongs to.
    fn sealed<'a>(&self, arrival: &'a Arrival) -> Result<Option<Kept<'a>>, getrandom::Error> {
        let Some((token, client_id)) = &arrival.refresh_token else {
            return Ok(None);
        };
        let sealed = self.seal.seal(client_id.as_bytes(), token.as_bytes())?;
        Ok(Some((sealed, client_id)))
    }
}

/// A sealed refresh token, and the client that it was given to.
type Kept<'a> = (Vec<u8>, &'a str);

/// A page that browsers may be sent to: nothing in it can be read in two ways.
fn check_page(page: &str) -> anyhow::Result<()> {
    let url: Url = page.parse().context("it is no URL")?;
    ensure!(url.as_str() == page, "write it as browsers do: {url}");
    ensure!(
        url.username().is_empty() && url.password().is_none(),
        "it must have no credentials"
    );
    ensure!(url.fragment().is_none(), "it must have no fragment");
    // An app's own scheme has no origin, and a page of `javascript:` or `data:` none to trust.
    match url.scheme() {
        "https" => Ok(()),
        "http" => http::endpoint(page).map(|_| ()),
        scheme => {
            ensure!(
                scheme.contains('.'),
                "an app's own scheme is its domain turned round, such as com.example.app (RFC 8252)"
            );
            Ok(())
        }
    }
}

/// Where a browser goes in the end, and how the page there will show that it began this.
struct Back {
    return_to: String,
    challenge: Token,
}

/// What a code is for.
#[derive(Clone, Copy)]
enum Purpose {
    SignIn,
    Link,
}

impl Purpose {
    fn name(self) -> &'static str {
        match self {
            Self::SignIn => "sign_in",
            Self::Link => "link",
        }
    }
}

/// What a code was had for.
struct Vouched {
    arrival: Arrival,
    /// The only account that may link it.
    account_id: Option<Uuid>,
}

/// Waits for a provider, but not for ever.
async fn within<T, E: From<Away>>(asking: impl Future<Output = Result<T, E>>) -> Result<T, E> {
    match tokio::time::timeout(WITHIN, asking).await {
        Ok(answer) => answer,
        Err(_) => Err(Away("it takes too long".to_owned()).into()),
    }
}

/// Why nobody is let in, sent away or linked.
#[derive(Debug, Error)]
pub(crate) enum SocialError {
    #[error("no such provider is offered")]
    UnknownProvider,
    #[error("the request makes no sense")]
    BadRequest,
    #[error("return_to is none of the pages that browsers may be sent to")]
    ReturnTo,
    #[error("return_to takes a code_challenge (S256) with it")]
    Challenge,
    #[error("this browser has no such sign-in under way")]
    InvalidState,
    #[error("the person, or the provider, said no")]
    Denied,
    #[error("the provider's word is not taken")]
    NotVouched(#[source] ProviderError),
    #[error("the provider is away")]
    Away(#[source] Away),
    #[error("the code is not good, or no longer")]
    InvalidCode,
    #[error("the nonce is not good, or no longer")]
    InvalidNonce,
    #[error("no such identity of the caller's")]
    NotFound,
    #[error("the caller's account is gone")]
    Gone,
    #[error("it opens another account")]
    Taken,
    #[error("an account has up to {} of them", identities::MAX)]
    TooMany,
    #[error("it is the last way into the account")]
    LastWayIn,
    #[error(transparent)]
    Login(#[from] LoginError),
    #[error("drawing a secret")]
    Randomness(#[from] getrandom::Error),
    #[error("keeping what is under way with a provider")]
    Store(#[from] sqlx::Error),
}

impl From<Away> for SocialError {
    fn from(away: Away) -> Self {
        Self::Away(away)
    }
}

impl From<ProviderError> for SocialError {
    fn from(error: ProviderError) -> Self {
        match error {
            ProviderError::Away(away) => Self::Away(away),
            ProviderError::NotNative => Self::UnknownProvider,
            other => Self::NotVouched(other),
        }
    }
}

impl From<SocialError> for Problem {
    fn from(error: SocialError) -> Self {
        let bad = |code, title| Problem::new(StatusCode::BAD_REQUEST, code, title);
        let conflict = |code, title| Problem::new(StatusCode::CONFLICT, code, title);
        match error {
            SocialError::UnknownProvider | SocialError::NotFound => Problem::not_found(),
            SocialError::BadRequest => Problem::bad_request("a parameter is wrong or unknown"),
            SocialError::ReturnTo => bad("bad_return_to", "Not a page to return to"),
            SocialError::Challenge => {
                bad("bad_code_challenge", "No good code_challenge").detail(error.to_string())
            }
            SocialError::InvalidState => bad("invalid_state", "Begin the sign-in again"),
            SocialError::Denied => bad("access_denied", "The sign-in was not granted"),
            SocialError::NotVouched(error) => {
                tracing::warn!(%error, "a provider's word was not taken");
                Problem::new(
                    StatusCode::UNAUTHORIZED,
                    "not_vouched",
                    "The provider does not vouch for you",
                )
            }
            SocialError::Away(error) => {
                tracing::warn!(%error, "a provider is away");
                Problem::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "provider_unavailable",
                    "The provider can't be reached",
                )
                .retry_after(5)
            }
            SocialError::InvalidCode => bad("invalid_code", "The code is not good, or no longer"),
            SocialError::InvalidNonce => {
                bad("invalid_nonce", "The nonce is not good, or no longer")
            }
            SocialError::Gone => Problem::unauthenticated(),
            SocialError::Taken => conflict("identity_taken", "It opens another account"),
            SocialError::TooMany => {
                conflict("too_many_identities", "Too many identities").detail(error.to_string())
            }
            SocialError::LastWayIn => conflict("last_way_in", "It is the last way in")
                .detail("give the account an address, a password or another identity first"),
            SocialError::Login(error) => error.into(),
            SocialError::Randomness(_) | SocialError::Store(_) => Problem::internal(error),
        }
    }
}

impl IntoResponse for SocialError {
    fn into_response(self) -> Response {
        Problem::from(self).into_response()
    }
}

/// A provider as a page of sign-ins shows it.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Offered {
    provider: ProviderName,
    title: &'static str,
    /// Where a browser begins.
    start: String,
    /// Apps may bring its ID tokens.
    native: bool,
}

/// The providers that are offered.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Providers {
    items: Vec<Offered>,
}

/// Lists the providers that somebody may sign in with.
#[utoipa::path(
    get, path = "/v1/auth/providers", operation_id = "listProviders", tag = "auth",
    responses((status = 200, description = "Those that are configured", body = Providers))
)]
pub(crate) async fn providers(State(app): State<Arc<App>>) -> Json<Providers> {
    let offered = |provider: &Provider| Offered {
        provider: provider.name,
        title: provider.name.title(),
        start: format!("/v1/auth/social/{}/start", provider.name),
        native: provider.is_native(),
    };
    Json(Providers {
        items: app.social.providers.iter().map(offered).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Security case 16: a page is one to the last byte, and none of those that are read in two ways.
    #[test]
    fn users_16_the_way_back_leads_nowhere_else() {
        let settings = |return_to: &[&str]| settings::Social {
            return_to: return_to.iter().map(|it| (*it).to_owned()).collect(),
            ..settings::Social::default()
        };
        let page = "https://app.example.com/signed-in";
        let key = Key::from_bytes(&[1; 32]);
        let desk = Desk::new(settings(&[page]), "https://id.example.com", &key).expect("a desk");
        let challenge = Some("A".repeat(43));
        let back = |page: &str| desk.back(Some(page.to_owned()), challenge.clone());
        assert!(back(page).is_ok());
        for other in [
            "",
            "/signed-in",
            "//evil.example",
            "/\\evil.example",
            "https://app.example.com",
            "https://app.example.com/signed-in/",
            "https://app.example.com/signed-in?next=//evil.example",
            "https://app.example.com/signed-in#a",
            "https://app.example.com/signed-in/../other",
            "https://app.example.com@evil.example/signed-in",
            "https://app.example.com:443/signed-in",
            "https://app.example.com.evil.example/signed-in",
            "https://app.example.com\\@evil.example/signed-in",
            "HTTPS://app.example.com/signed-in",
            "javascript:alert(1)",
            " https://app.example.com/signed-in",
            "https://app.example.com/signed-in\n",
        ] {
            assert!(matches!(back(other), Err(SocialError::ReturnTo)), "{other}");
        }
        // No page without its challenge, and no challenge without a page.
        let page = Some(page.to_owned());
        for challenge in [None, Some(String::new()), Some("plain".to_owned())] {
            let back = desk.back(page.clone(), challenge.clone());
            assert!(matches!(back, Err(SocialError::Challenge)), "{challenge:?}");
        }
        assert!(matches!(
            desk.back(None, challenge),
            Err(SocialError::ReturnTo)
        ));
        assert!(matches!(desk.back(None, None), Ok(None)));

        for (page, good) in [
            ("http://localhost:3000/", true),
            ("com.example.app:/signed-in", true),
            ("http://app.example.com/", false),
            ("https://user@app.example.com/", false),
            ("https://app.example.com", false),
            ("https://app.example.com/#a", false),
            ("javascript:alert(1)", false),
            ("data:text/html,a", false),
            ("/signed-in", false),
            ("*", false),
        ] {
            let desk = Desk::new(settings(&[page]), "https://id.example.com", &key);
            assert_eq!(desk.is_ok(), good, "{page}");
        }
    }
}
