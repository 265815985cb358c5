//! Whether a request that carries a session was meant by the page of our own origin.
//!
//! A browser sends a cookie along whoever had the request made. `SameSite=Lax` keeps most of that
//! away, but not what a sister site (`blog.example.com`) does, and not WebSockets in every browser.
//! So whatever may change something must say where it comes from, and the browser says it: in
//! `Sec-Fetch-Site` (Fetch Metadata), else in `Origin` (RFC 6454). No script can write either.

use http::header::{ORIGIN, UPGRADE};
use http::{HeaderName, Method};
use plugin_sdk::Head;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const SEC_FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");

/// The origins whose pages may act in the name of who has signed in.
#[derive(Debug)]
pub(super) struct Origins {
    /// Our own first, then those that the table names.
    known: Vec<String>,
}

impl Origins {
    pub(super) fn new(own: String, others: &[String]) -> Self {
        let mut known = vec![own];
        known.extend_from_slice(others);
        Self { known }
    }

    /// Whether the request may use the session.
    pub(super) fn allow(&self, head: &Head<'_>) -> bool {
        let socket = head.headers.contains_key(UPGRADE);
        let safe = matches!(*head.method, Method::GET | Method::HEAD | Method::OPTIONS);
        if safe && !socket {
            return true;
        }
        let origin = head.headers.contains_key(ORIGIN);
        let known = head
            .single(&ORIGIN)
            .is_some_and(|origin| self.known.iter().any(|known| known == origin));
        let site = head.headers.contains_key(&SEC_FETCH_SITE);
        match head.single(&SEC_FETCH_SITE) {
            // A handshake says `Origin`, always; whether it says the rest depends on the browser.
            _ if socket => known,
            // A page that hides its address (`Referrer-Policy: no-referrer`) sends `Origin: null`.
            Some("same-origin" | "none") => {
                known || !origin || head.single(&ORIGIN) == Some("null")
            }
            Some(_) => known,
            None => known && !site,
        }
    }
}

/// Whether somebody opens a page, and not a script something: only then is a way to the sign-in of
/// any use.
pub(super) fn is_navigation(head: &Head<'_>) -> bool {
    if *head.method != Method::GET || head.headers.contains_key(UPGRADE) {
        return false;
    }
    let accepts_pages = head
        .headers
        .get_all(http::header::ACCEPT)
        .iter()
        .any(|value| {
            value
                .to_str()
                .is_ok_and(|value| value.contains("text/html"))
        });
    let says = |name: &HeaderName, wanted: &str| match head.headers.contains_key(name) {
        true => head.single(name) == Some(wanted),
        false => true,
    };
    accepts_pages && says(&SEC_FETCH_MODE, "navigate") && says(&SEC_FETCH_DEST, "document")
}

#[cfg(test)]
mod tests {
    use plugin_sdk::testing::TestRequest;

    use super::*;

    const OWN: &str = "https://edge.test";

    fn origins() -> Origins {
        Origins::new(OWN.into(), &["https://app.edge.test".into()])
    }

    fn allows(method: &str, headers: &[(&str, &str)]) -> bool {
        let request = headers
            .iter()
            .fold(TestRequest::new(method, "/"), |request, (name, value)| {
                request.header(name, value)
            });
        request.with_head(|head| origins().allow(head))
    }

    #[test]
    fn gateway_30_what_changes_something_says_where_it_comes_from() {
        for method in ["POST", "PUT", "PATCH", "DELETE", "QUERY"] {
            for (headers, verdict) in [
                (&[("sec-fetch-site", "same-origin")][..], true),
                (&[("sec-fetch-site", "none")], true),
                (&[("sec-fetch-site", "same-origin"), ("origin", OWN)], true),
                (
                    &[("sec-fetch-site", "same-origin"), ("origin", "null")],
                    true,
                ),
                (&[("origin", OWN)], true),
                (&[("origin", "https://app.edge.test")], true),
                (
                    &[
                        ("sec-fetch-site", "same-site"),
                        ("origin", "https://app.edge.test"),
                    ],
                    true,
                ),
                // Neither header, or one that says otherwise.
                (&[], false),
                (&[("sec-fetch-site", "cross-site")], false),
                (&[("sec-fetch-site", "same-site")], false),
                (&[("sec-fetch-site", "")], false),
                (&[("sec-fetch-site", "Same-Origin")], false),
                (
                    &[
                        ("sec-fetch-site", "cross-site"),
                        ("sec-fetch-site", "same-origin"),
                    ],
                    false,
                ),
                (
                    &[
                        ("sec-fetch-site", "cross-site"),
                        ("origin", "https://evil.test"),
                    ],
                    false,
                ),
                (
                    &[
                        ("sec-fetch-site", "same-origin"),
                        ("origin", "https://evil.test"),
                    ],
                    false,
                ),
                (
                    &[("sec-fetch-site", "cross-site"), ("origin", "null")],
                    false,
                ),
                (&[("origin", "null")], false),
                (&[("origin", "")], false),
                (&[("origin", "https://evil.test")], false),
                (&[("origin", "https://edge.test.evil.test")], false),
                (&[("origin", "https://evil-edge.test")], false),
                (&[("origin", "http://edge.test")], false),
                (&[("origin", "https://edge.test:8443")], false),
                (&[("origin", "https://EDGE.test")], false),
                (&[("origin", OWN), ("origin", "https://evil.test")], false),
                (&[("referer", "https://edge.test/a")], false),
            ] {
                assert_eq!(allows(method, headers), verdict, "{method} {headers:?}");
            }
        }
        for method in ["GET", "HEAD", "OPTIONS"] {
            assert!(allows(method, &[("sec-fetch-site", "cross-site")]));
        }
    }

    #[test]
    fn gateway_30_a_socket_of_another_site_is_not_opened() {
        for (origin, verdict) in [
            (Some(OWN), true),
            (Some("https://app.edge.test"), true),
            (Some("https://evil.test"), false),
            (Some("null"), false),
            (None, false),
        ] {
            let mut headers = vec![("connection", "upgrade"), ("upgrade", "websocket")];
            headers.extend(origin.map(|origin| ("origin", origin)));
            assert_eq!(allows("GET", &headers), verdict, "{origin:?}");
            headers.push(("sec-fetch-site", "same-origin"));
            assert_eq!(allows("GET", &headers), verdict, "{origin:?}");
        }
    }

    #[test]
    fn a_page_is_told_from_a_call() {
        const PAGE: (&str, &str) = ("accept", "text/html,application/xhtml+xml");
        for (method, headers, verdict) in [
            (
                "GET",
                &[
                    PAGE,
                    ("sec-fetch-mode", "navigate"),
                    ("sec-fetch-dest", "document"),
                ][..],
                true,
            ),
            ("GET", &[PAGE], true),
            ("GET", &[("accept", "application/json")], false),
            ("GET", &[("accept", "*/*")], false),
            ("GET", &[], false),
            ("POST", &[PAGE, ("sec-fetch-mode", "navigate")], false),
            ("HEAD", &[PAGE], false),
            ("GET", &[PAGE, ("sec-fetch-mode", "cors")], false),
            (
                "GET",
                &[
                    PAGE,
                    ("sec-fetch-mode", "navigate"),
                    ("sec-fetch-dest", "iframe"),
                ],
                false,
            ),
            ("GET", &[PAGE, ("upgrade", "websocket")], false),
        ] {
            let request = headers
                .iter()
                .fold(TestRequest::new(method, "/"), |request, (name, value)| {
                    request.header(name, value)
                });
            assert_eq!(
                request.with_head(is_navigation),
                verdict,
                "{method} {headers:?}"
            );
        }
    }
}
