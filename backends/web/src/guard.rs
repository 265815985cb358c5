//! What stands before every handler.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{DefaultBodyLimit, MatchedPath, Request, State};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use futures::FutureExt;
use http::{HeaderMap, StatusCode, header};
use identity::{KeyRing, Statement};
use tracing::Instrument;
use utoipa_axum::router::OpenApiRouter;

use crate::input::{MAX_BODY_BYTES, too_large, unsupported_media_type};
use crate::{Problem, request};

/// The longest that a request may take inside.
const DEADLINE: Duration = Duration::from_secs(10);

/// An app's routes, ready for its listener.
///
/// Every request must carry a seal that the gateway made for this app, just now; without it the
/// answer is 401 whatever it asks. Then: its request id is known to whatever happens for it, its
/// body is capped at [`MAX_BODY_BYTES`], it has 10 seconds, and each way to fail, a panic too, is
/// a [`Problem`]. Where there is no route the answer is 404, sealed or not.
pub fn guarded(app_name: &'static str, api: OpenApiRouter, host: &host::Host) -> Router {
    let guard = Guard {
        app: app_name,
        keys: host.identity_keys(),
        clock: host.clock(),
        metrics: host.metrics().clone(),
    };
    let (routes, _) = api.split_for_parts();
    routes
        .method_not_allowed_fallback(async || method_not_allowed())
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .route_layer(from_fn(bounded))
        .route_layer(from_fn_with_state(guard, admit))
        .fallback(async || Problem::not_found())
}

#[derive(Clone)]
struct Guard {
    app: &'static str,
    keys: Arc<KeyRing>,
    clock: host::Clock,
    metrics: host::metrics::Metrics,
}

/// Opens the seal, and answers for what comes back.
async fn admit(State(guard): State<Guard>, mut request: Request, next: Next) -> Response {
    let began = Instant::now();
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let route = route.as_ref().map_or("", MatchedPath::as_str);
    let response = match guard.open(request.headers()) {
        Ok(statement) => {
            let id = statement.request_id.clone();
            // Of the highest level, so that an error carries its request at any RUST_LOG.
            let span = tracing::error_span!("request", app = guard.app, request_id = id);
            request.extensions_mut().insert(statement);
            let answer = async {
                let response = next.run(request).await;
                tracing::debug!(
                    method = method.as_str(),
                    route,
                    status = response.status().as_u16(),
                    took_ms = began.elapsed().as_millis() as u64,
                    "answered"
                );
                response
            };
            request::scope(id, answer.instrument(span)).await
        }
        Err(problem) => problem.into_response(),
    };
    let status = response.status().as_u16();
    guard
        .metrics
        .request(guard.app, method.as_str(), route, status, began.elapsed());
    response
}

impl Guard {
    fn open(&self, headers: &HeaderMap) -> Result<Statement, Problem> {
        let mut seals = headers.get_all(identity::HEADER).iter();
        let refused = || {
            Problem::unauthenticated()
                .detail("requests come through the gateway, which vouches for them")
        };
        // Two seals are nobody's doing but an attacker's.
        let (Some(seal), None) = (seals.next(), seals.next()) else {
            return Err(refused());
        };
        let seal = seal.to_str().map_err(|_| refused())?;
        let now = self.clock.now().unix_timestamp();
        identity::open(&self.keys, seal, self.app, now).map_err(|error| {
            // Which of them it was is for us to know: a wrong key in a deployment looks the same.
            tracing::warn!(app = self.app, %error, "a request without a valid seal");
            refused()
        })
    }
}

/// A deadline, a cap and a net under the handler.
async fn bounded(request: Request, next: Next) -> Response {
    if declared_length(request.headers()).is_some_and(|length| length > MAX_BODY_BYTES as u64) {
        // Before the handler, which may not even read the body.
        return too_large().into_response();
    }
    // The request is gone when the handler has panicked: nothing half done is looked at after.
    let handler = std::panic::AssertUnwindSafe(next.run(request)).catch_unwind();
    match tokio::time::timeout(DEADLINE, handler).await {
        Ok(Ok(response)) => as_problem(response).await,
        // The panic hook has told it, with its place: nothing more to say.
        Ok(Err(_)) => Problem::failed().into_response(),
        Err(_) => {
            tracing::warn!("a request took longer than {} s", DEADLINE.as_secs());
            Problem::new(
                StatusCode::GATEWAY_TIMEOUT,
                "upstream_timeout",
                "The answer took too long",
            )
            .into_response()
        }
    }
}

/// An extractor of axum's refuses in plain text; its words are for the client, and go into a
/// problem like everybody's. Other error bodies (OAuth's have a form of their own) stay.
async fn as_problem(response: Response) -> Response {
    let status = response.status();
    let media_type = response.headers().get(header::CONTENT_TYPE);
    let plain = media_type.is_none_or(|value| value.as_bytes().starts_with(b"text/plain"));
    if !(plain && (status.is_client_error() || status.is_server_error())) {
        return response;
    }
    let problem = match status {
        StatusCode::NOT_FOUND => Problem::not_found(),
        StatusCode::FORBIDDEN => Problem::forbidden(),
        StatusCode::UNAUTHORIZED => Problem::unauthenticated(),
        StatusCode::PAYLOAD_TOO_LARGE => too_large(),
        StatusCode::UNSUPPORTED_MEDIA_TYPE => unsupported_media_type(),
        status if status.is_server_error() => Problem::failed(),
        _ => {
            let words = axum::body::to_bytes(response.into_body(), 1024).await;
            let words = words.unwrap_or_default();
            Problem::bad_request(String::from_utf8_lossy(&words).into_owned())
        }
    };
    problem.into_response()
}

fn declared_length(headers: &HeaderMap) -> Option<u64> {
    headers
        .get(header::CONTENT_LENGTH)?
        .to_str()
        .ok()?
        .parse()
        .ok()
}

fn method_not_allowed() -> Problem {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        "Method not allowed",
    )
}
