//! Asking a provider: within a time, up to a size, nowhere else.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use axum::http::{StatusCode, header};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use serde::de::DeserializeOwned;
use url::{Host, Url, form_urlencoded};

/// An answer is had within this time, or not.
const WITHIN: Duration = Duration::from_secs(3);
const CONNECTED_WITHIN: Duration = Duration::from_secs(2);
/// The longest answer that is read. Google's is under 8 KiB.
const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// Asks.
#[derive(Clone)]
pub(super) struct Http(reqwest::Client);

/// Why there is no answer that could be read: nothing that the person at the browser can help.
#[derive(Debug, thiserror::Error)]
#[error("the provider can't be reached: {0}")]
pub(crate) struct Away(pub(crate) String);

/// What was answered, whatever the status.
pub(super) struct Answered {
    pub(super) status: StatusCode,
    body: Vec<u8>,
}

impl Http {
    pub(super) fn new() -> anyhow::Result<Self> {
        // reqwest takes the process's provider, and there must be one. Whoever was first is right.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let builder = || {
            reqwest::Client::builder()
                .timeout(WITHIN)
                .connect_timeout(CONNECTED_WITHIN)
                // A redirect could lead to where only this machine gets, and take our secret along.
                .redirect(reqwest::redirect::Policy::none())
                // A proxy of the environment would see codes and secrets.
                .no_proxy()
                .dns_resolver(Arc::new(Names))
                .user_agent("vorota-users")
        };
        // A machine without any authorities can still ask what is on it.
        let client = builder()
            .build()
            .or_else(|_| builder().tls_certs_only([]).build());
        Ok(Self(client.context("preparing to ask providers")?))
    }

    pub(super) async fn get(&self, url: &Url) -> Result<Answered, Away> {
        read(self.0.get(url.clone())).await
    }

    pub(super) async fn post(&self, url: &Url, form: &[(&str, &str)]) -> Result<Answered, Away> {
        let form = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(form)
            .finish();
        let request = self
            .0
            .post(url.clone())
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(header::ACCEPT, "application/json")
            .body(form);
        read(request).await
    }
}

impl Answered {
    /// The body, if it is JSON of that shape; a field that comes twice is none.
    pub(super) fn json<T: DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_slice(&self.body).ok()
    }
}

async fn read(request: reqwest::RequestBuilder) -> Result<Answered, Away> {
    // The URL may hold what nobody should read in a log.
    let failed = |error: reqwest::Error| Away(causes(&error.without_url()));
    let mut answer = request.send().await.map_err(failed)?;
    let status = answer.status();
    if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
        return Err(Away(format!("it answered {status}")));
    }
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(failed)? {
        if body.len() + chunk.len() > MAX_ANSWER_BYTES {
            return Err(Away(format!(
                "its answer is longer than {MAX_ANSWER_BYTES} bytes"
            )));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Answered { status, body })
}

/// An error with all that led to it: reqwest's own words only say that something failed.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text += &format!(": {error}");
        cause = error.source();
    }
    text
}

/// An address that we may ask: `https`, or `http` on this machine alone.
pub(super) fn endpoint(text: &str) -> anyhow::Result<Url> {
    let url: Url = text.parse().context("it is no URL")?;
    let loopback = match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    };
    let safe = url.scheme() == "https" || (url.scheme() == "http" && loopback);
    ensure!(safe, "it must be https, or on this machine");
    ensure!(
        url.username().is_empty() && url.password().is_none() && url.fragment().is_none(),
        "it must have no credentials and no fragment"
    );
    let forbidden = match url.host() {
        Some(Host::Ipv4(ip)) => is_off_limits(ip.into()),
        Some(Host::Ipv6(ip)) => is_off_limits(ip.into()),
        _ => false,
    };
    ensure!(!forbidden, "it leads to where machines keep their secrets");
    Ok(url)
}

/// Finds the addresses of names, less those that no name may lead to. What it gives is what is
/// connected to, so that a name can't change its mind in between.
struct Names;

impl Resolve for Names {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let allowed: Vec<SocketAddr> = found
                .filter(|address| !is_off_limits(address.ip()))
                .collect();
            if allowed.is_empty() {
                return Err("the name leads to no address, or to one that is off limits".into());
            }
            let allowed: Addrs = Box::new(allowed.into_iter());
            Ok(allowed)
        })
    }
}

/// Where no provider is: links without a router, where clouds hand out their credentials, and
/// addresses of many.
fn is_off_limits(address: IpAddr) -> bool {
    const METADATA_V4: [Ipv4Addr; 2] = [
        Ipv4Addr::new(100, 100, 100, 200),
        Ipv4Addr::new(192, 0, 0, 192),
    ];
    match address.to_canonical() {
        IpAddr::V4(ip) => {
            ip.is_link_local()
                || ip.is_unspecified()
                || ip.is_multicast()
                || ip.is_broadcast()
                || METADATA_V4.contains(&ip)
        }
        IpAddr::V6(ip) => {
            ip.is_unicast_link_local()
                || ip.is_unspecified()
                || ip.is_multicast()
                || ip.segments()[..2] == [0xfd00, 0xec2]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn we_ask_over_tls_or_ourselves_and_never_the_metadata() {
        for (url, good) in [
            ("https://accounts.google.com", true),
            ("http://127.0.0.1:3000/a", true),
            ("http://localhost:3000", true),
            ("http://[::1]:3000", true),
            ("http://accounts.google.com", false),
            ("http://localhost.evil.example", false),
            ("https://user@accounts.google.com", false),
            ("https://accounts.google.com/#a", false),
            ("https://169.254.169.254/", false),
            ("https://[::ffff:169.254.169.254]/", false),
            ("https://0x7f000001@evil.example/", false),
            ("https://2852039166/", false),
            ("https://[fd00:ec2::254]/", false),
            ("ftp://127.0.0.1", false),
            ("accounts.google.com", false),
        ] {
            assert_eq!(endpoint(url).is_ok(), good, "{url}");
        }
    }
}
