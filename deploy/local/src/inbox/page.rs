//! The inbox for people, and as JSON for programs.

use std::fmt::Write;

use axum::{
    Json, Router,
    extract::{Request, State},
    http::{HeaderName, HeaderValue, StatusCode, header},
    middleware::{self, Next},
    response::{Html, IntoResponse, Response},
    routing::get,
};
use tokio::net::TcpListener;

use super::{Mailbox, Message};

const STYLE: &str = include_str!("page.css");
const HEADERS: [(HeaderName, &str); 4] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "no-store"),
];

pub(super) async fn serve(listener: TcpListener, mailbox: Mailbox) {
    let routes = Router::new()
        .route(
            "/",
            get(
                |State(mailbox): State<Mailbox>| async move { Html(page(&mailbox.newest_first())) },
            ),
        )
        .route(
            "/page.css",
            get(|| async { ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], STYLE) }),
        )
        .route(
            "/api/messages",
            get(|State(mailbox): State<Mailbox>| async move { Json(mailbox.newest_first()) }),
        )
        .layer(middleware::from_fn(guard))
        .with_state(mailbox);
    // Serving ends with the task; until then `axum::serve` outlives errors of single connections.
    let _ = axum::serve(listener, routes).await;
}

/// Answers only to a loopback name: a page elsewhere that points its own name at 127.0.0.1 must not
/// read the codes that lie here.
async fn guard(request: Request, next: Next) -> Response {
    let host = request
        .headers()
        .get(header::HOST)
        .and_then(|host| host.to_str().ok())
        .unwrap_or_default();
    let name = host.rsplit_once(':').map_or(host, |(name, _port)| name);
    let mut response = if matches!(name, "localhost" | "127.0.0.1") {
        next.run(request).await
    } else {
        (StatusCode::MISDIRECTED_REQUEST, "ask for localhost\n").into_response()
    };
    for (name, value) in HEADERS {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    response
}

fn page(messages: &[Message]) -> String {
    let mut html = String::from(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"refresh\" content=\"10\">\n\
         <title>Development inbox</title>\n<link rel=\"stylesheet\" href=\"/page.css\">\n</head>\n\
         <body>\n<header>\n<h1>Development inbox</h1>\n\
         <p>Mail that Vorota sends on this machine ends here, and so do texts, as mail to the number at \
         sms.localhost. All is kept in memory, newest first, and looked up again every ten seconds; <a href=\"/api/messages\">the same as JSON</a>.</p>\n\
         </header>\n<main>\n",
    );
    if messages.is_empty() {
        html.push_str("<p>Nothing has arrived yet.</p>\n");
    }
    for message in messages {
        let subject = if message.subject.is_empty() {
            "(no subject)"
        } else {
            &message.subject
        };
        write!(
            html,
            "<article>\n<h2>{}</h2>\n<p class=\"to\">to <b>{}</b>, <time datetime=\"{at}\">{at}</time></p>\n\
             <pre>{}</pre>\n</article>\n",
            escaped(subject),
            escaped(&message.to),
            escaped(&message.text),
            at = escaped(&message.at),
        )
        .expect("a String takes all that is written");
    }
    html.push_str("</main>\n</body>\n</html>\n");
    html
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_cannot_write_the_page() {
        let hostile = "<script>alert('1')</script>\"&".to_owned();
        let message = Message {
            to: hostile.clone(),
            subject: hostile.clone(),
            text: hostile,
            at: "2026-01-01T00:00:00Z".to_owned(),
        };
        let html = page(&[message]);
        assert!(!html.contains("<script"), "{html}");
        let harmless = "&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;&quot;&amp;";
        assert_eq!(html.matches(harmless).count(), 3);
    }
}
