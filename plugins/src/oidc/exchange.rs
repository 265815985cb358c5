use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Request, Response, StatusCode};
use plugin_sdk::parse_json;
use serde_json::Value;
use url::{Url, form_urlencoded};

/// How a client proves to the token endpoint who it is (RFC 6749 §2.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ClientAuth {
    Basic,
    Post,
}

/// Who we are at the provider.
pub(super) struct Client {
    pub(super) id: String,
    pub(super) secret: String,
    /// Where browsers come back to, as the provider knows it: compared whole there.
    pub(super) redirect_uri: String,
}

/// What a code was changed for.
#[derive(PartialEq, Eq)]
pub(super) struct Tokens {
    pub(super) id_token: String,
    pub(super) access_token: Option<String>,
}

/// Why a code was not changed for tokens.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum ExchangeFault {
    /// The provider can't at the moment.
    #[error("the token endpoint answered {0}")]
    Later(StatusCode),
    /// The code is spent, too old, or was never ours.
    #[error("the token endpoint does not take the code")]
    Code,
    /// What we say of ourselves is wrong: an operator's to mend.
    #[error("the token endpoint refuses us: {0}")]
    Ours(&'static str),
    #[error("what the token endpoint answered is no answer of one")]
    Malformed,
}

impl Client {
    /// Asks for the tokens of a code (RFC 6749 §4.1.3), with the verifier (RFC 7636 §4.5): a code
    /// that was stolen on its way is of no use without it.
    pub(super) fn exchange(
        &self,
        endpoint: &Url,
        auth: ClientAuth,
        code: &str,
        verifier: &str,
    ) -> Request<Bytes> {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", "authorization_code")
            .append_pair("code", code)
            .append_pair("redirect_uri", &self.redirect_uri)
            .append_pair("code_verifier", verifier);
        let mut request = Request::post(endpoint.as_str())
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(ACCEPT, "application/json");
        match auth {
            ClientAuth::Basic => request = request.header(AUTHORIZATION, self.basic()),
            ClientAuth::Post => {
                form.append_pair("client_id", &self.id)
                    .append_pair("client_secret", &self.secret);
            }
        }
        request
            .body(form.finish().into())
            .expect("the URL was parsed, the headers are text")
    }

    fn basic(&self) -> HeaderValue {
        let encode =
            |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let pair = format!("{}:{}", encode(&self.id), encode(&self.secret));
        let mut value = HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(pair)))
            .expect("base64 is visible ASCII");
        value.set_sensitive(true);
        value
    }
}

impl Tokens {
    /// Reads what the token endpoint answered.
    pub(super) fn read(answer: &Response<Bytes>) -> Result<Self, ExchangeFault> {
        let status = answer.status();
        if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
            return Err(ExchangeFault::Later(status));
        }
        let body = parse_json(answer.body(), 8).map_err(|_| ExchangeFault::Malformed)?;
        if status != StatusCode::OK {
            return Err(refusal(body["error"].as_str()));
        }
        let text = |name: &str| {
            body[name]
                .as_str()
                .filter(|text| !text.is_empty())
                .map(String::from)
        };
        let bearer = body["token_type"]
            .as_str()
            .is_some_and(|kind| kind.eq_ignore_ascii_case("bearer"));
        match (text("id_token"), &body["access_token"]) {
            (Some(id_token), Value::String(_) | Value::Null) if bearer => Ok(Self {
                id_token,
                access_token: text("access_token"),
            }),
            _ => Err(ExchangeFault::Malformed),
        }
    }
}

/// RFC 6749 §5.2. The word may be anything: only those known get into the log.
fn refusal(error: Option<&str>) -> ExchangeFault {
    match error {
        Some("invalid_grant") => ExchangeFault::Code,
        Some("invalid_client") => ExchangeFault::Ours("invalid_client"),
        Some("invalid_request") => ExchangeFault::Ours("invalid_request"),
        Some("unauthorized_client") => ExchangeFault::Ours("unauthorized_client"),
        Some("unsupported_grant_type") => ExchangeFault::Ours("unsupported_grant_type"),
        Some("invalid_scope") => ExchangeFault::Ours("invalid_scope"),
        _ => ExchangeFault::Malformed,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn client() -> Client {
        Client {
            id: "edge 1".into(),
            secret: "p:s&t%".into(),
            redirect_uri: "https://edge.test/auth/callback".into(),
        }
    }

    fn ask(auth: ClientAuth) -> Request<Bytes> {
        let endpoint = "https://sso.test/token?a=b".parse().expect("a URL");
        client().exchange(&endpoint, auth, "c+1", "v")
    }

    #[test]
    fn the_code_goes_with_its_verifier_and_our_proof() {
        let request = ask(ClientAuth::Basic);
        assert_eq!(request.uri(), "https://sso.test/token?a=b");
        let form = "grant_type=authorization_code&code=c%2B1\
                    &redirect_uri=https%3A%2F%2Fedge.test%2Fauth%2Fcallback&code_verifier=v";
        assert_eq!(request.body(), form);
        // Both are encoded before they are joined: a colon in the id would end it.
        let basic = format!("Basic {}", STANDARD.encode("edge+1:p%3As%26t%25"));
        assert_eq!(request.headers()[AUTHORIZATION], basic);
        assert!(request.headers()[AUTHORIZATION].is_sensitive());

        let request = ask(ClientAuth::Post);
        assert!(!request.headers().contains_key(AUTHORIZATION));
        assert_eq!(
            request.body(),
            &format!("{form}&client_id=edge+1&client_secret=p%3As%26t%25")
        );
    }

    #[test]
    fn an_answer_is_read_or_refused() {
        let read = |status: u16, body: &str| {
            let answer = Response::builder()
                .status(status)
                .body(Bytes::copy_from_slice(body.as_bytes()));
            Tokens::read(&answer.expect("an answer"))
                .map(|tokens| (tokens.id_token, tokens.access_token))
        };
        let good = json!({ "id_token": "i", "access_token": "a", "token_type": "Bearer" });
        assert_eq!(
            read(200, &good.to_string()),
            Ok(("i".into(), Some("a".into())))
        );
        for body in [
            "",
            "{}",
            "<html>",
            "[]",
            r#"{"id_token":"","token_type":"Bearer"}"#,
            r#"{"id_token":7,"token_type":"Bearer"}"#,
            r#"{"id_token":"i","token_type":"mac"}"#,
            r#"{"id_token":"i","access_token":7,"token_type":"Bearer"}"#,
            r#"{"id_token":"i","id_token":"j","token_type":"Bearer"}"#,
        ] {
            assert_eq!(read(200, body), Err(ExchangeFault::Malformed), "{body}");
        }
        let refused = |status, error: &str| read(status, &json!({ "error": error }).to_string());
        assert_eq!(refused(400, "invalid_grant"), Err(ExchangeFault::Code));
        assert_eq!(
            refused(401, "invalid_client"),
            Err(ExchangeFault::Ours("invalid_client"))
        );
        assert_eq!(refused(400, "\u{1b}[31m"), Err(ExchangeFault::Malformed));
        assert_eq!(read(302, ""), Err(ExchangeFault::Malformed));
        for status in [500, 502, 503, 429] {
            let code = StatusCode::from_u16(status).expect("a status");
            assert_eq!(read(status, ""), Err(ExchangeFault::Later(code)));
        }
    }
}
