//! Versions of things as ETags, so that nobody changes what they have not seen.

use axum::Json;
use axum::extract::FromRequestParts;
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Serialize;

use crate::Problem;

/// What a client says it has seen of the thing that it changes: `If-Match` with the ETag that it was
/// told, or `If-None-Match: *` for a thing that is not there yet.
///
/// Taking one refuses nobody. It is judged once the caller is known to be allowed to ask at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Precondition {
    seen: Option<Vec<String>>,
    absent: bool,
}

impl Precondition {
    /// Refuses whoever has not said what they have seen (428 `precondition_required`), or has seen
    /// something else than there is now (412 `precondition_failed`): the version of a thing, or none
    /// where it is to be made.
    pub fn judge(&self, version: Option<i64>) -> Result<(), Problem> {
        let fits = match (version, &self.seen) {
            (Some(_), None) | (None, None) if !self.absent => {
                return Err(Problem::new(
                    StatusCode::PRECONDITION_REQUIRED,
                    "precondition_required",
                    "Precondition required",
                )
                .detail("say what you have seen: its ETag in If-Match, or If-None-Match: *"));
            }
            (Some(version), Some(seen)) => {
                !self.absent && seen.iter().any(|tag| tag == "*" || *tag == etag(version))
            }
            (version, seen) => version.is_none() && seen.is_none(),
        };
        fits.then_some(()).ok_or_else(|| {
            Problem::new(
                StatusCode::PRECONDITION_FAILED,
                "precondition_failed",
                "Precondition failed",
            )
            .detail("it is not what you have seen any more; read it again")
        })
    }
}

impl<S: Sync> FromRequestParts<S> for Precondition {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let seen = listed(&parts.headers, header::IF_MATCH);
        let absent = listed(&parts.headers, header::IF_NONE_MATCH);
        Ok(Self {
            seen,
            absent: absent.is_some_and(|tags| tags == ["*"]),
        })
    }
}

/// An answer with a thing, and its version as the ETag.
pub fn tagged(version: i64, thing: impl Serialize) -> Response {
    let mut response = Json(thing).into_response();
    response.headers_mut().insert(header::ETAG, tag(version));
    response
}

/// Whether the client knows this version already (`If-None-Match`), so that it need not be told.
pub fn known(headers: &HeaderMap, version: i64) -> bool {
    let etag = etag(version);
    let known = listed(headers, header::IF_NONE_MATCH).unwrap_or_default();
    // Weak tags do for reading: the bytes are the same all the same.
    known
        .iter()
        .any(|tag| tag == "*" || tag.trim_start_matches("W/") == etag)
}

/// 304: what is known is still so.
pub fn not_modified(version: i64) -> Response {
    let headers = [(header::ETAG, tag(version))];
    (StatusCode::NOT_MODIFIED, headers).into_response()
}

fn etag(version: i64) -> String {
    format!("\"{version}\"")
}

fn tag(version: i64) -> HeaderValue {
    etag(version).try_into().expect("a number is visible ASCII")
}

fn listed(headers: &HeaderMap, name: header::HeaderName) -> Option<Vec<String>> {
    let mut values = headers.get_all(name).iter().peekable();
    values.peek()?;
    let text = values.filter_map(|value| value.to_str().ok());
    let tags = text.flat_map(|text| text.split(',')).map(str::trim);
    Some(
        tags.filter(|tag| !tag.is_empty())
            .map(str::to_owned)
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_change_is_judged_by_what_its_author_has_seen() {
        async fn check(headers: &[(&str, &str)], version: Option<i64>) -> u16 {
            let mut request = http::Request::builder();
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            let (mut parts, ()) = request.body(()).expect("a head").into_parts();
            let said = Precondition::from_request_parts(&mut parts, &()).await;
            let judged = said.expect("it refuses nobody").judge(version);
            judged.map_or_else(|problem| problem.status().as_u16(), |()| 200)
        }
        for (headers, there, not_there) in [
            (&[][..], 428, 428),
            (&[("if-match", "\"7\"")], 200, 412),
            (&[("if-match", "*")], 200, 412),
            (&[("if-match", "\"6\", \"7\"")], 200, 412),
            (&[("if-match", "\"6\""), ("if-match", "\"7\"")], 200, 412),
            (&[("if-match", "\"6\"")], 412, 412),
            (&[("if-match", "W/\"7\"")], 412, 412),
            (&[("if-match", "7")], 412, 412),
            (&[("if-match", "")], 412, 412),
            (&[("if-none-match", "*")], 412, 200),
            (&[("if-none-match", "\"7\"")], 428, 428),
            (&[("if-match", "\"7\""), ("if-none-match", "*")], 412, 412),
        ] {
            assert_eq!(check(headers, Some(7)).await, there, "{headers:?}");
            assert_eq!(check(headers, None).await, not_there, "{headers:?}");
        }
    }
}
