//! A form in, as OAuth has it.

use axum::extract::{FromRequest, Request};
use http::StatusCode;
use serde::de::DeserializeOwned;

use crate::Problem;
use crate::input::{is_of, whole};

const MEDIA_TYPE: &str = "application/x-www-form-urlencoded";

/// A body of form fields that has the shape of `T`, read as RFC 6749 §3.2 wants it: a field without
/// a value was not sent, one that nobody knows is passed over, and none may be there twice. So the
/// fields of `T` are texts, optional ones for the most part.
///
/// Fails with 415 when the body is not declared as a form, 413 when it is too large, and 400
/// `bad_body`. Where forms are answered in words of their own, take a `Result` of it.
#[derive(Debug, Clone)]
pub struct Form<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Form<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        if !is_of(&request, MEDIA_TYPE) {
            return Err(Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported_media_type",
                "Unsupported media type",
            )
            .detail(format!("send the body as content-type: {MEDIA_TYPE}")));
        }
        parse(&whole(request, state).await?).map(Self)
    }
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    let mut names: Vec<String> = Vec::new();
    let mut sent = form_urlencoded::Serializer::new(String::new());
    for (name, value) in form_urlencoded::parse(body) {
        if names.iter().any(|known| *known == name) {
            // Not its name: what stands twice may be anything.
            return Err(Problem::bad_body("a field stands in it twice"));
        }
        names.push(name.clone().into_owned());
        if !value.is_empty() {
            sent.append_pair(&name, &value);
        }
    }
    serde_urlencoded::from_str(&sent.finish()).map_err(|error| Problem::bad_body(error.to_string()))
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize, PartialEq)]
    struct Wish {
        a: Option<String>,
        b: Option<String>,
    }

    #[test]
    fn a_form_is_read_as_oauth_wants_it() {
        let check = |body: &str, a: Option<&str>, b: Option<&str>| {
            let (a, b) = (a.map(str::to_owned), b.map(str::to_owned));
            assert_eq!(parse::<Wish>(body.as_bytes()).expect(body), Wish { a, b });
        };
        check("", None, None);
        check("a=1&b=x+%26+y", Some("1"), Some("x & y"));
        check("a=&b=2", None, Some("2"));
        check("b=2&unknown=3", None, Some("2"));
        for twice in ["a=1&a=1", "a=1&a=2", "a=&a=2", "z=1&z=1"] {
            let refused = parse::<Wish>(twice.as_bytes()).expect_err(twice);
            assert_eq!(refused.code(), "bad_body");
        }
    }
}
