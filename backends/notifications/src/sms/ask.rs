//! How a provider is asked: one form, one answer, within bounds.

use std::time::Duration;

use anyhow::{Context, bail, ensure};
use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use url::Url;

use crate::{letter, refusal::Refusal};

/// Longest wait for an answer.
const ANSWERS_WITHIN: Duration = Duration::from_secs(10);
const CONNECTS_WITHIN: Duration = Duration::from_secs(5);
/// The most that is read of an answer, in bytes; theirs have a kilobyte or two.
const MAX_ANSWER: usize = 64 * 1024;

/// What a provider answered.
pub(super) struct Answer {
    pub(super) status: u16,
    /// How long it asks to be left alone.
    pub(super) retry_after: Option<Duration>,
    pub(super) body: serde_json::Value,
}

impl Answer {
    /// It may be another time, as the provider says or whenever.
    pub(super) fn later(&self, why: String) -> Refusal {
        Refusal::Later {
            why,
            after: self.retry_after,
        }
    }
}

/// Where a provider listens: the address of old, or another one in tests.
pub(super) fn base(api: Option<&str>, usual: &str) -> anyhow::Result<Url> {
    let url = Url::parse(api.unwrap_or(usual)).context("reading `api`")?;
    match url.scheme() {
        "https" => {}
        "http" if letter::is_loopback(&url) => {}
        _ => bail!("reading `api`: it must be https://"),
    }
    ensure!(
        url.username().is_empty() && url.password().is_none(),
        "`api` holds a name or password"
    );
    Ok(url)
}

pub(super) fn client() -> anyhow::Result<reqwest::Client> {
    // reqwest takes the process's provider, and there must be one. Whoever was first is right.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = || {
        reqwest::Client::builder()
            .timeout(ANSWERS_WITHIN)
            .connect_timeout(CONNECTS_WITHIN)
            // A redirect could lead the code elsewhere.
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .user_agent("vorota")
    };
    // A machine without any authorities can still ask what needs none.
    let client = builder()
        .build()
        .or_else(|_| builder().tls_certs_only([]).build());
    client.context("making a client for providers of texts")
}

/// Posts a form. What goes wrong is told without the words of others: they may repeat the number.
pub(super) async fn post(
    request: reqwest::RequestBuilder,
    fields: &[(&str, &str)],
) -> Result<Answer, Refusal> {
    let form = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(fields)
        .finish();
    let mut answer = request
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(form)
        .send()
        .await
        .map_err(|error| no_answer(&error))?;
    let status = answer.status().as_u16();
    let retry_after = answer
        .headers()
        .get(RETRY_AFTER)
        .and_then(|value| value.to_str().ok()?.trim().parse().ok())
        .map(Duration::from_secs);
    let mut body = Vec::new();
    while let Some(piece) = answer.chunk().await.map_err(|error| no_answer(&error))? {
        if body.len() + piece.len() > MAX_ANSWER {
            return Err(Refusal::later("its answer is too long"));
        }
        body.extend_from_slice(&piece);
    }
    Ok(Answer {
        status,
        retry_after,
        // What is no JSON says nothing; the status still does.
        body: serde_json::from_slice(&body).unwrap_or_default(),
    })
}

fn no_answer(error: &reqwest::Error) -> Refusal {
    Refusal::later(match error {
        error if error.is_connect() => "no connection",
        error if error.is_timeout() => "no answer in time",
        _ => "the conversation broke off",
    })
}
