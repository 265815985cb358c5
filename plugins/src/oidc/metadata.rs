use serde_json::Value;
use url::Url;

use super::exchange::ClientAuth;
use crate::jwt::{Alg, endpoint};

/// What an OpenID provider says of itself (OpenID Connect Discovery §3), as far as a sign-in needs
/// it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Metadata {
    pub(super) authorization: Url,
    pub(super) token: Url,
    pub(super) end_session: Option<Url>,
    pub(super) client_auth: ClientAuth,
    /// Whether its answers always say who sent them (RFC 9207).
    pub(super) says_issuer: bool,
}

/// Why nobody can be sent to a provider.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum MetadataFault {
    #[error("its `{0}` is missing, not `https`, or leads to an address that is off limits")]
    Endpoint(&'static str),
    #[error("it does not take the challenge of RFC 7636 as S256")]
    Pkce,
    #[error("it does not answer with a code (`response_type=code`)")]
    Code,
    #[error("it knows the client by neither `client_secret_basic` nor `client_secret_post`")]
    ClientAuth,
    #[error("it signs ID tokens with none of the algorithms that the route table names")]
    Algs,
}

impl Metadata {
    /// Reads the description of an issuer, which has been found to be that issuer's.
    pub(super) fn read(
        document: &Value,
        issuer: &str,
        algs: &[Alg],
    ) -> Result<Self, MetadataFault> {
        let url = |name: &'static str| {
            let text = document[name].as_str();
            let url = text.and_then(|text| endpoint(issuer, text).ok());
            url.ok_or(MetadataFault::Endpoint(name))
        };
        let end_session = match &document["end_session_endpoint"] {
            Value::Null => None,
            _ => Some(url("end_session_endpoint")?),
        };
        // What is not said is not known: some that take S256 don't say so. What is said counts,
        // and a provider that only takes `plain`, or nothing, is none for us.
        let pkce = listed(document, "code_challenge_methods_supported");
        if pkce.is_some_and(|methods| !methods.contains(&"S256")) {
            return Err(MetadataFault::Pkce);
        }
        let types = listed(document, "response_types_supported");
        if types.is_some_and(|types| !types.contains(&"code")) {
            return Err(MetadataFault::Code);
        }
        let signs = listed(document, "id_token_signing_alg_values_supported");
        let fits = |name: &&str| Alg::named(name).is_some_and(|alg| algs.contains(&alg));
        if signs.is_some_and(|names| !names.iter().any(fits)) {
            return Err(MetadataFault::Algs);
        }
        Ok(Self {
            authorization: url("authorization_endpoint")?,
            token: url("token_endpoint")?,
            end_session,
            client_auth: client_auth(document)?,
            says_issuer: document["authorization_response_iss_parameter_supported"] == true,
        })
    }
}

fn client_auth(document: &Value) -> Result<ClientAuth, MetadataFault> {
    // Said by nobody, it is `client_secret_basic`.
    let Some(methods) = listed(document, "token_endpoint_auth_methods_supported") else {
        return Ok(ClientAuth::Basic);
    };
    if methods.contains(&"client_secret_basic") {
        Ok(ClientAuth::Basic)
    } else if methods.contains(&"client_secret_post") {
        Ok(ClientAuth::Post)
    } else {
        Err(MetadataFault::ClientAuth)
    }
}

/// A list of words; `None` when it is not there. What is no list holds nothing.
fn listed<'a>(document: &'a Value, name: &str) -> Option<Vec<&'a str>> {
    match &document[name] {
        Value::Null => None,
        value => {
            let words = value.as_array().map(Vec::as_slice).unwrap_or_default();
            Some(words.iter().filter_map(Value::as_str).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ISSUER: &str = "https://sso.test";

    fn read(issuer: &str, changes: Value) -> Result<Metadata, MetadataFault> {
        let mut document = json!({
            "issuer": issuer,
            "authorization_endpoint": "https://sso.test/auth",
            "token_endpoint": "https://sso.test/token",
        });
        for (name, value) in changes.as_object().expect("an object") {
            document[name] = value.clone();
        }
        Metadata::read(&document, issuer, &[Alg::RS256, Alg::ES256])
    }

    #[test]
    fn what_is_not_said_is_as_the_standards_have_it() {
        let metadata = read(ISSUER, json!({})).expect("reads");
        assert_eq!(metadata.client_auth, ClientAuth::Basic);
        assert_eq!((metadata.end_session, metadata.says_issuer), (None, false));
        let metadata = read(
            ISSUER,
            json!({
                "end_session_endpoint": "https://sso.test/end",
                "authorization_response_iss_parameter_supported": true,
                "token_endpoint_auth_methods_supported": ["private_key_jwt", "client_secret_post"],
                "code_challenge_methods_supported": ["plain", "S256"],
                "id_token_signing_alg_values_supported": ["none", "ES256"],
            }),
        );
        let metadata = metadata.expect("reads");
        assert_eq!(metadata.client_auth, ClientAuth::Post);
        assert!(metadata.end_session.is_some() && metadata.says_issuer);
    }

    #[test]
    fn gateway_29_a_provider_that_would_weaken_the_sign_in_is_none() {
        use MetadataFault as F;
        for (changes, fault) in [
            (
                json!({ "code_challenge_methods_supported": ["plain"] }),
                F::Pkce,
            ),
            (json!({ "code_challenge_methods_supported": [] }), F::Pkce),
            (
                json!({ "code_challenge_methods_supported": "S256" }),
                F::Pkce,
            ),
            (json!({ "response_types_supported": ["id_token"] }), F::Code),
            (
                json!({ "token_endpoint_auth_methods_supported": ["none"] }),
                F::ClientAuth,
            ),
            (
                json!({ "id_token_signing_alg_values_supported": ["none", "HS256"] }),
                F::Algs,
            ),
            (
                json!({ "token_endpoint": "http://sso.test/token" }),
                F::Endpoint("token_endpoint"),
            ),
            (
                json!({ "token_endpoint": null }),
                F::Endpoint("token_endpoint"),
            ),
            (
                json!({ "token_endpoint": "/token" }),
                F::Endpoint("token_endpoint"),
            ),
            (
                json!({ "authorization_endpoint": "javascript:alert(1)" }),
                F::Endpoint("authorization_endpoint"),
            ),
            (
                json!({ "end_session_endpoint": "http://sso.test/end" }),
                F::Endpoint("end_session_endpoint"),
            ),
        ] {
            assert_eq!(read(ISSUER, changes.clone()), Err(fault), "{changes}");
        }
    }

    #[test]
    fn gateway_39_a_provider_sends_us_to_no_inner_address() {
        for url in [
            "https://169.254.169.254/token",
            "https://127.0.0.1/token",
            "http://localhost/token",
            "https://[::1]/",
        ] {
            let fault = read(ISSUER, json!({ "token_endpoint": url }));
            assert_eq!(
                fault,
                Err(MetadataFault::Endpoint("token_endpoint")),
                "{url}"
            );
        }
    }
}
