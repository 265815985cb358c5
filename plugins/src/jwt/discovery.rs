use std::net::IpAddr;

use plugin_sdk::{BuildError, Env, FetchError, is_off_limits, parse_json};
use serde_json::Value;
use url::{Host, Url};

/// A longer document than this is none, in bytes.
const MAX_DOCUMENT_BYTES: usize = 64 * 1024;

/// Why an issuer's own description does not lead to its keys.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DiscoveryError {
    #[error("what the issuer says of itself can't be had: {0}")]
    Fetch(FetchError),
    #[error("what the issuer says of itself is no JSON object")]
    Malformed,
    #[error("it says that it is another issuer than the one in the route table")]
    OtherIssuer,
    #[error("its `jwks_uri` is missing or no URL")]
    NoKeys,
    #[error("its `jwks_uri` is not `https`")]
    Plain,
    #[error("its `jwks_uri` leads to an address that is off limits")]
    OffLimits,
}

/// An issuer that is to describe itself must have an address that nobody else can answer at.
pub(crate) fn check_issuer(issuer: &str) -> Result<(), BuildError> {
    let fault = |message: &str| BuildError::new("issuer", message);
    let url = Url::parse(issuer)
        .map_err(|_| fault("is no URL, so it can't be asked").hint("write `jwks: https://…`"))?;
    if url.query().is_some() || url.fragment().is_some() || !url.username().is_empty() {
        return Err(fault(
            "has more than a host and a path, so it can't be asked",
        ));
    }
    match url.scheme() {
        "https" => Ok(()),
        "http" if is_loopback(&url) => Ok(()),
        _ => Err(fault("is not `https`, so anybody could answer for it")
            .hint("write `jwks:` and where its keys are")),
    }
}

/// What the issuer says of itself, and where it says that its keys are.
pub(super) async fn describe(issuer: &str, env: &Env) -> Result<(Value, String), DiscoveryError> {
    let (first, second) = addresses(issuer);
    let document = match env.fetch.get(&first, MAX_DOCUMENT_BYTES).await {
        Ok(document) => document,
        // The first is the one that is usually there, so its error is the one to tell.
        Err(error) => match env.fetch.get(&second, MAX_DOCUMENT_BYTES).await {
            Ok(document) => document,
            Err(_) => return Err(DiscoveryError::Fetch(error)),
        },
    };
    judge(issuer, &document)
}

/// Where issuers describe themselves: OpenID Connect Discovery §4, RFC 8414 §3.
fn addresses(issuer: &str) -> (String, String) {
    let issuer = issuer.strip_suffix('/').unwrap_or(issuer);
    let after_scheme = issuer.find("://").map_or(0, |at| at + 3);
    let path = issuer[after_scheme..].find('/').map(|at| at + after_scheme);
    let (origin, path) = issuer.split_at(path.unwrap_or(issuer.len()));
    (
        format!("{issuer}/.well-known/openid-configuration"),
        format!("{origin}/.well-known/oauth-authorization-server{path}"),
    )
}

fn judge(issuer: &str, document: &[u8]) -> Result<(Value, String), DiscoveryError> {
    let document = parse_json(document, 8).map_err(|_| DiscoveryError::Malformed)?;
    if !document.is_object() {
        return Err(DiscoveryError::Malformed);
    }
    // One issuer's description must not stand for another's (RFC 8414 §3.3).
    if document["issuer"].as_str() != Some(issuer) {
        return Err(DiscoveryError::OtherIssuer);
    }
    let text = document["jwks_uri"]
        .as_str()
        .ok_or(DiscoveryError::NoKeys)?;
    let url = endpoint(issuer, text)?;
    Ok((document, url.into()))
}

/// An address that an issuer names for itself, if it is one that it may send us to.
pub(crate) fn endpoint(issuer: &str, text: &str) -> Result<Url, DiscoveryError> {
    let url = Url::parse(text).map_err(|_| DiscoveryError::NoKeys)?;
    let near = is_loopback(&url);
    let from_near = Url::parse(issuer).is_ok_and(|issuer| is_loopback(&issuer));
    match url.scheme() {
        _ if near && !from_near => Err(DiscoveryError::OffLimits),
        _ if address(&url).is_some_and(is_off_limits) => Err(DiscoveryError::OffLimits),
        "https" => Ok(url),
        "http" if near => Ok(url),
        "http" => Err(DiscoveryError::Plain),
        _ => Err(DiscoveryError::NoKeys),
    }
}

/// The address that a URL has in place of a name.
fn address(url: &Url) -> Option<IpAddr> {
    match url.host()? {
        Host::Domain(_) => None,
        Host::Ipv4(v4) => Some(v4.into()),
        Host::Ipv6(v6) => Some(v6.into()),
    }
}

/// Whether a URL leads to this very machine (RFC 6761 §6.3).
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => {
            let name = name.strip_suffix('.').unwrap_or(name);
            name == "localhost" || name.ends_with(".localhost")
        }
        _ => address(url).is_some_and(|address| address.to_canonical().is_loopback()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_issuer_describes_itself_at_two_places() {
        for (issuer, first, second) in [
            (
                "https://id.test",
                "https://id.test/.well-known/openid-configuration",
                "https://id.test/.well-known/oauth-authorization-server",
            ),
            (
                "https://id.test/realms/a/",
                "https://id.test/realms/a/.well-known/openid-configuration",
                "https://id.test/.well-known/oauth-authorization-server/realms/a",
            ),
        ] {
            assert_eq!(addresses(issuer), (first.into(), second.into()));
        }
    }

    /// Security case 39: a description leads to no address that its issuer could not name itself.
    #[test]
    fn gateway_39_a_description_leads_to_no_inner_address() {
        use DiscoveryError as E;
        let far = "https://id.test/r";
        let near = "http://127.0.0.1:9000";
        for (issuer, keys, expected) in [
            (far, "https://keys.test/jwks", None),
            (far, "https://10.0.0.7/jwks", None),
            (near, "http://127.0.0.1:9000/jwks", None),
            (near, "http://localhost:9000/jwks", None),
            (far, "http://id.test/jwks", Some(E::Plain)),
            (near, "http://id.test/jwks", Some(E::Plain)),
            (far, "https://127.0.0.1/jwks", Some(E::OffLimits)),
            (far, "http://127.0.0.1/jwks", Some(E::OffLimits)),
            (far, "https://localhost/jwks", Some(E::OffLimits)),
            (far, "https://localhost./jwks", Some(E::OffLimits)),
            (far, "https://a.localhost/jwks", Some(E::OffLimits)),
            (far, "https://2130706433/jwks", Some(E::OffLimits)),
            (far, "https://0x7f.1/jwks", Some(E::OffLimits)),
            (far, "https://[::1]/jwks", Some(E::OffLimits)),
            (far, "https://[::ffff:127.0.0.1]/jwks", Some(E::OffLimits)),
            (far, "https://169.254.169.254/latest", Some(E::OffLimits)),
            (far, "http://169.254.169.254/latest", Some(E::OffLimits)),
            (near, "https://169.254.169.254/latest", Some(E::OffLimits)),
            (far, "https://[::ffff:a9fe:a9fe]/", Some(E::OffLimits)),
            (far, "https://[fe80::1]/", Some(E::OffLimits)),
            (far, "file:///etc/passwd", Some(E::NoKeys)),
            (far, "/jwks", Some(E::NoKeys)),
        ] {
            let document = json!({ "issuer": issuer, "jwks_uri": keys }).to_string();
            let judged = judge(issuer, document.as_bytes());
            assert_eq!(judged.err(), expected, "{issuer} {keys}");
        }
    }

    #[test]
    fn a_description_is_of_the_issuer_named() {
        use DiscoveryError as E;
        let issuer = "https://id.test";
        let good = json!({ "issuer": issuer, "jwks_uri": "https://id.test/jwks" }).to_string();
        let twice = good.replacen('{', "{\"issuer\":\"https://id.test\",", 1);
        for (document, expected) in [
            (good.clone(), None),
            (
                good.replace("https://id.test\"", "https://id.test/\""),
                Some(E::OtherIssuer),
            ),
            (good.replace("id.test", "evil.test"), Some(E::OtherIssuer)),
            (good.replace("issuer", "iss"), Some(E::OtherIssuer)),
            (good.replace("jwks_uri", "jwks"), Some(E::NoKeys)),
            (twice, Some(E::Malformed)),
            ("[]".into(), Some(E::Malformed)),
            ("<html>".into(), Some(E::Malformed)),
        ] {
            assert_eq!(
                judge(issuer, document.as_bytes()).err(),
                expected,
                "{document}"
            );
        }
    }

    #[test]
    fn only_an_issuer_that_nobody_can_stand_in_for_is_asked() {
        for (issuer, good) in [
            ("https://id.test", true),
            ("https://id.test/realms/a", true),
            ("http://localhost:8080/realms/a", true),
            ("http://127.0.0.1:8080", true),
            ("http://id.test", false),
            ("id.test", false),
            ("https://id.test/?a=b", false),
            ("https://me@id.test/", false),
            ("https://id.test/#x", false),
        ] {
            assert_eq!(check_issuer(issuer).is_ok(), good, "{issuer}");
        }
    }
}
