use http::{HeaderName, HeaderValue, StatusCode};
use plugin_sdk::Reply;

const CONTENT_SECURITY_POLICY: HeaderName = HeaderName::from_static("content-security-policy");

/// A sign-in that came to nothing, as the person is told.
pub(super) struct Failure {
    pub(super) status: StatusCode,
    pub(super) code: &'static str,
    pub(super) title: &'static str,
    pub(super) detail: &'static str,
}

/// Tells it: to a person as a page, with a link to try again, and to a program as a problem.
pub(super) fn of(failure: &Failure, again: &str, person: bool) -> Reply {
    if !person {
        return Reply::problem(failure.status, failure.code, failure.title).detail(failure.detail);
    }
    let (title, detail, again) = (failure.title, failure.detail, escaped(again));
    let page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>{title}</title>\n\
         <style>body {{ font: 1.1rem/1.5 system-ui, sans-serif; max-width: 34rem; margin: 15vh auto; padding: 0 1rem }}</style>\n\
         <h1>{title}</h1>\n<p>{detail}</p>\n<p><a href=\"{again}\">Try again</a></p>\n</html>\n"
    );
    Reply::page(failure.status, failure.code, page).header(
        CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(
            "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
        ),
    )
}

/// A path of ours has no bytes that end an attribute, but for these.
fn escaped(path: &str) -> String {
    path.replace('&', "&amp;")
        .replace('"', "&quot;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
