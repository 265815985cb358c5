//! How we fail: RFC 9457, with a stable `code` for programs and words for people.

use std::borrow::Cow;
use std::error::Error;

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use utoipa::ToSchema;

use crate::request::request_id;

/// The media type of every answer that is an error.
pub const MEDIA_TYPE: &str = "application/problem+json";

/// An answer that says what went wrong and never shows our insides.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Problem {
    /// Names the kind of problem; `about:blank` when the status says it all.
    #[serde(rename = "type")]
    #[schema(value_type = String, example = "about:blank")]
    kind: &'static str,
    /// The kind in words.
    #[schema(value_type = String)]
    title: Cow<'static, str>,
    /// The HTTP status again.
    #[serde(serialize_with = "as_number")]
    #[schema(value_type = u16)]
    status: StatusCode,
    /// What a program looks at; stable.
    #[schema(value_type = String)]
    code: &'static str,
    /// This very case in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    detail: Option<Box<str>>,
    /// The id under which our logs know the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<String>,
    /// What a program needs to go on (RFC 9457 §3.2).
    // In a box, since few problems have any and all are passed around by value.
    #[serde(flatten)]
    #[schema(ignore)]
    more: Option<Box<serde_json::Map<String, serde_json::Value>>>,
    #[serde(skip)]
    retry_after_s: Option<u32>,
}

fn as_number<S: serde::Serializer>(status: &StatusCode, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_u16(status.as_u16())
}

impl Problem {
    /// A problem of one of the stable codes.
    pub fn new(
        status: StatusCode,
        code: &'static str,
        title: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            kind: "about:blank",
            title: title.into(),
            status,
            code,
            detail: None,
            request_id: None,
            more: None,
            retry_after_s: None,
        }
    }

    /// Says more about this case. Never a cause from inside, never what the client may not know.
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into().into_boxed_str());
        self
    }

    /// Adds what a program needs to go on, under a name of its own (RFC 9457 §3.2).
    pub fn with(mut self, name: &str, value: serde_json::Value) -> Self {
        let more = self.more.get_or_insert_default();
        more.insert(name.to_owned(), value);
        self
    }

    /// Says when to come back (`Retry-After`).
    pub fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after_s = Some(seconds);
        self
    }

    /// The status it is answered with.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// What it says to people: this case, or else its kind.
    pub fn words(&self) -> &str {
        self.detail.as_deref().unwrap_or(&self.title)
    }

    /// Its stable code.
    pub fn code(&self) -> &'static str {
        self.code
    }

    /// 401: nobody, where somebody is needed.
    pub fn unauthenticated() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "unauthenticated",
            "Authentication required",
        )
    }

    /// 403: somebody, but not one who may.
    pub fn forbidden() -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", "Not allowed")
    }

    /// 403: somebody who is not signed in, but calls by a key or as a service.
    pub fn session_required() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "session_required",
            "Sign in to do this",
        )
    }

    /// 404: not there, or not the caller's to see; the two look alike.
    pub fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "Not found")
    }

    /// 400: the body has the right shape and makes no sense.
    pub fn bad_body(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_body", "Bad body").detail(detail)
    }

    /// 400: the request's head makes no sense.
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", "Bad request").detail(detail)
    }

    /// What failed inside: 503 when the database is away and a retry may well succeed, else 500.
    /// The cause goes to the log with its whole chain, once, and never into the answer.
    pub fn internal(error: impl Into<anyhow::Error>) -> Self {
        let error = error.into();
        if error.chain().any(is_outage) {
            tracing::warn!(error = format!("{error:#}"), "the database is away");
            return Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "upstream_unavailable",
                "Temporarily unavailable",
            )
            .retry_after(1);
        }
        tracing::error!(error = format!("{error:#}"), "a request failed inside");
        Self::failed()
    }

    /// 500 and not a word more; whoever answers with it has logged why.
    pub(crate) fn failed() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "Internal error",
        )
    }
}

fn is_outage(error: &(dyn Error + 'static)) -> bool {
    error.downcast_ref::<sqlx::Error>().is_some_and(pg::outage)
}

impl From<sqlx::Error> for Problem {
    fn from(error: sqlx::Error) -> Self {
        Self::internal(error)
    }
}

impl IntoResponse for Problem {
    fn into_response(mut self) -> Response {
        self.request_id = self.request_id.or_else(request_id);
        let body = serde_json::to_vec(&self).expect("a problem is plain data");
        let mut response = (self.status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        // An answer that must not be stored, whatever a route says of its good answers.
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(seconds) = self.retry_after_s {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}
