//! The private port: for machines of ours, never routed to from outside.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use utoipa::openapi::OpenApi;

use crate::Need;
use crate::databases::Databases;
use crate::metrics::Metrics;

#[derive(Clone)]
struct Watch {
    databases: Databases,
    needs: Arc<OnceLock<Vec<(&'static str, Need)>>>,
    documents: Arc<BTreeMap<&'static str, OpenApi>>,
    metrics: Metrics,
    stop: CancellationToken,
}

/// `/livez` (the process turns), `/readyz` (it can do its work), `/metrics`,
/// `/openapi/NAME.json`.
pub(crate) fn routes(
    databases: Databases,
    needs: Arc<OnceLock<Vec<(&'static str, Need)>>>,
    documents: BTreeMap<&'static str, OpenApi>,
    metrics: Metrics,
    stop: CancellationToken,
) -> Router {
    Router::new()
        .route(
            "/livez",
            get(|| async { Json(json!({ "status": "alive" })) }),
        )
        .route("/readyz", get(readyz))
        .route("/metrics", get(gathered))
        .route("/openapi/{file}", get(document))
        .with_state(Watch {
            databases,
            needs,
            documents: Arc::new(documents),
            metrics,
            stop,
        })
}

/// Whether requests would be answered: not while draining, not without a database or what else an
/// app needs for all that it does. A mail server
/// that is away or an event that fails is no reason to take an app's traffic from it.
async fn readyz(State(watch): State<Watch>) -> Response {
    if watch.stop.is_cancelled() {
        let draining = Json(json!({ "status": "draining" }));
        return (StatusCode::SERVICE_UNAVAILABLE, draining).into_response();
    }
    let asked = watch
        .databases
        .iter()
        .map(|database| async { (database.names(), pg::answers(&database.pool).await) });
    let databases: BTreeMap<String, bool> =
        futures::future::join_all(asked).await.into_iter().collect();
    let needs = watch.needs.get().map_or(&[][..], Vec::as_slice);
    let asked = needs
        .iter()
        .map(|(app, need)| async move { (format!("{app}: {}", need.name), (need.is_met)().await) });
    let needs: BTreeMap<String, bool> =
        futures::future::join_all(asked).await.into_iter().collect();
    let ready = databases.values().chain(needs.values()).all(|there| *there);
    let (status, word) = if ready {
        (StatusCode::OK, "ready")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not_ready")
    };
    let mut told = json!({ "status": word, "databases": databases });
    if !needs.is_empty() {
        told["needs"] = needs.into_iter().collect::<Value>();
    }
    (status, Json(told)).into_response()
}

async fn gathered(State(watch): State<Watch>) -> Response {
    for database in watch.databases.iter() {
        watch.metrics.pool(&database.names(), &database.pool);
    }
    match watch.metrics.text() {
        Ok(text) => ([(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "the metrics cannot be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

async fn document(State(watch): State<Watch>, Path(file): Path<String>) -> Response {
    let name = file.strip_suffix(".json").unwrap_or_default();
    match watch.documents.get(name) {
        Some(document) => Json(document).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}
