//! Checked JSON in.

use axum::extract::{FromRequest, Request};
use axum::response::IntoResponse;
use bytes::Bytes;
use http::{StatusCode, header};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};

use crate::Problem;

/// The largest body that a handler is given, in bytes.
pub const MAX_BODY_BYTES: usize = 1024 * 1024;

/// A JSON body that has the shape of `T`. The type should `deny_unknown_fields`, so that a field
/// which nobody reads is told and not swallowed.
///
/// Fails with 415 when the body is not declared as JSON, 413 when it is too large, and 400
/// `bad_body` with the path of the offending value.
#[derive(Debug, Clone)]
pub struct Input<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Input<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        if !is_of(&request, "application/json") {
            return Err(unsupported_media_type());
        }
        parse(&whole(request, state).await?).map(Self)
    }
}

/// The whole body, which is no longer than bodies may be.
pub(crate) async fn whole<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, Problem> {
    Bytes::from_request(request, state)
        .await
        .map_err(|rejection| {
            if rejection.into_response().status() == StatusCode::PAYLOAD_TOO_LARGE {
                too_large()
            } else {
                Problem::bad_body("the body did not arrive whole")
            }
        })
}

/// A field of a change that may be left out and is no null when it is there, since null would read as
/// "none": `#[serde(default, deserialize_with = "web::given")]`.
pub fn given<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// Whether the body is declared as `wanted`, once.
pub(crate) fn is_of(request: &Request, wanted: &str) -> bool {
    let mut values = request.headers().get_all(header::CONTENT_TYPE).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return false;
    };
    let Ok(value) = value.to_str() else {
        return false;
    };
    let media_type = value.split(';').next().unwrap_or_default().trim();
    media_type.eq_ignore_ascii_case(wanted)
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    let mut json = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        // serde_json quotes a wrong scalar: its own bytes back to the client, nobody else's.
        let reason = error.into_inner().to_string();
        if path == "." {
            Problem::bad_body(reason)
        } else {
            Problem::bad_body(format!("at `{path}`: {reason}"))
        }
    })?;
    json.end()
        .map_err(|error| Problem::bad_body(error.to_string()))?;
    Ok(value)
}

pub(crate) fn unsupported_media_type() -> Problem {
    Problem::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "unsupported_media_type",
        "Unsupported media type",
    )
    .detail("send the body as content-type: application/json")
}

pub(crate) fn too_large() -> Problem {
    Problem::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        "payload_too_large",
        "Payload too large",
    )
    .detail(format!("a body may have up to {MAX_BODY_BYTES} bytes"))
}
