use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

/// An answer that the gateway makes itself. It meets the response hooks like any other.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The status.
    pub status: StatusCode,
    /// Headers besides `content-type` and `content-length`.
    pub headers: HeaderMap,
    /// The plugin that answered; the chain writes it.
    pub by: &'static str,
    content: Content,
}

#[derive(Debug, Clone)]
enum Content {
    Problem(Problem),
    Page { code: &'static str, html: String },
    Empty,
    Whole(HeaderValue, Bytes),
}

/// A refusal as RFC 9457 has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Stable, for programs: `insufficient_scope`, `rate_limited`, …
    pub code: &'static str,
    /// The kind of problem in a few words, the same each time.
    pub title: &'static str,
    /// This very case, for people. Never says what an attacker would like to know.
    pub detail: Option<String>,
    /// Where in the request the fault is, as `(pointer, what is wrong)`; at most a handful.
    pub errors: Vec<(String, String)>,
}

impl Reply {
    /// A refusal.
    pub fn problem(status: StatusCode, code: &'static str, title: &'static str) -> Self {
        Self {
            status,
            headers: HeaderMap::new(),
            by: "",
            content: Content::Problem(Problem {
                code,
                title,
                detail: None,
                errors: Vec::new(),
            }),
        }
    }

    /// 401: who is calling is not known, and the request needs it.
    pub fn unauthenticated() -> Self {
        Self::problem(
            StatusCode::UNAUTHORIZED,
            "unauthenticated",
            "Who is calling is not known",
        )
        .header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
    }

    /// 401: a credential came, and it proves nothing (RFC 6750 §3.1).
    pub fn invalid_token() -> Self {
        Self::problem(
            StatusCode::UNAUTHORIZED,
            "invalid_token",
            "The access token is not valid",
        )
        .header(
            header::WWW_AUTHENTICATE,
            HeaderValue::from_static("Bearer error=\"invalid_token\""),
        )
    }

    /// A page for a person who looks at it in a browser. The code is for the record, empty when it is
    /// no refusal.
    pub fn page(status: StatusCode, code: &'static str, html: String) -> Self {
        Self {
            status,
            headers: HeaderMap::new(),
            by: "",
            content: Content::Page { code, html },
        }
    }

    /// An answer without a body.
    pub fn empty(status: StatusCode) -> Self {
        Self {
            status,
            headers: HeaderMap::new(),
            by: "",
            content: Content::Empty,
        }
    }

    /// An answer with a body of this type.
    pub fn whole(status: StatusCode, kind: HeaderValue, body: Bytes) -> Self {
        Self {
            content: Content::Whole(kind, body),
            ..Self::empty(status)
        }
    }

    /// Says more of this very case. Nothing on an answer that is no problem.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        if let Content::Problem(problem) = &mut self.content {
            problem.detail = Some(detail.into());
        }
        self
    }

    /// Says where in the request the faults are. Nothing on an answer that is no problem.
    #[must_use]
    pub fn errors(mut self, errors: Vec<(String, String)>) -> Self {
        if let Content::Problem(problem) = &mut self.content {
            problem.errors = errors;
        }
        self
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.append(name, value);
        self
    }

    /// The problem, if it is one.
    pub fn as_problem(&self) -> Option<&Problem> {
        match &self.content {
            Content::Problem(problem) => Some(problem),
            Content::Page { .. } | Content::Empty | Content::Whole(..) => None,
        }
    }

    /// The code of the problem, or of the page that tells it; empty when it is none.
    pub fn code(&self) -> &'static str {
        match &self.content {
            Content::Problem(Problem { code, .. }) | Content::Page { code, .. } => code,
            Content::Empty | Content::Whole(..) => "",
        }
    }

    /// Writes the answer out: all its headers, and the body.
    pub fn render(&self, request_id: &str) -> (HeaderMap, Bytes) {
        let mut headers = self.headers.clone();
        let body = match &self.content {
            Content::Empty => Bytes::new(),
            Content::Whole(kind, body) => {
                headers.insert(header::CONTENT_TYPE, kind.clone());
                body.clone()
            }
            Content::Page { html, .. } => {
                headers.insert(
                    header::CONTENT_TYPE,
                    HeaderValue::from_static("text/html; charset=utf-8"),
                );
                Bytes::copy_from_slice(html.as_bytes())
            }
            Content::Problem(problem) => {
                headers.insert(
                    header::CONTENT_TYPE,
                    HeaderValue::from_static("application/problem+json"),
                );
                headers
                    .entry(header::CACHE_CONTROL)
                    .or_insert(HeaderValue::from_static("no-store"));
                Bytes::from(problem.to_json(self.status, request_id))
            }
        };
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
        (headers, body)
    }
}

impl Problem {
    fn to_json(&self, status: StatusCode, request_id: &str) -> String {
        let mut object = serde_json::json!({
            "type": "about:blank",
            "title": self.title,
            "status": status.as_u16(),
            "code": self.code,
            "request_id": request_id,
        });
        if let Some(detail) = &self.detail {
            object["detail"] = detail.as_str().into();
        }
        if !self.errors.is_empty() {
            object["errors"] = self
                .errors
                .iter()
                .map(|(at, message)| serde_json::json!({ "pointer": at, "detail": message }))
                .collect();
        }
        object.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_written_as_rfc_9457_has_it() {
        let reply = Reply::problem(StatusCode::BAD_REQUEST, "bad_body", "The body is wrong")
            .detail("see \"errors\"")
            .errors(vec![("/amount".into(), "is no number".into())]);
        let (headers, body) = reply.render("r1");
        assert_eq!(headers[header::CONTENT_TYPE], "application/problem+json");
        assert_eq!(headers[header::CACHE_CONTROL], "no-store");
        assert_eq!(
            headers[header::CONTENT_LENGTH],
            body.len().to_string().as_str()
        );
        let body: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
        assert_eq!(
            body,
            serde_json::json!({
                "type": "about:blank",
                "title": "The body is wrong",
                "status": 400,
                "code": "bad_body",
                "request_id": "r1",
                "detail": "see \"errors\"",
                "errors": [{ "pointer": "/amount", "detail": "is no number" }],
            })
        );
    }

    #[test]
    fn an_empty_answer_has_no_type() {
        let (headers, body) = Reply::empty(StatusCode::NO_CONTENT).render("r1");
        assert!(body.is_empty());
        assert!(!headers.contains_key(header::CONTENT_TYPE));
        assert_eq!(headers[header::CONTENT_LENGTH], "0");
    }
}
