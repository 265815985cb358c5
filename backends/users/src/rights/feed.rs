//! How gateways learn who may what: `GET /internal/v1/authz`, which waits for news, and a push over
//! Redis where there is one, which says that there are some.

use std::{sync::Arc, time::Duration};

use anyhow::Context;
use axum::{
    Json,
    extract::{Query, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use host::Job;
use serde::Deserialize;
use serde_json::json;
use web::{Gateway, Problem};

use super::{RightsError, Snapshot};
use crate::{
    App,
    push::{self, News},
};

/// Where the version is published. Named, as that of revocations is, after this app.
const CHANNEL: &str = "vorota:authz:users";
/// The longest that an answer waits for news, whatever was asked for: a process that stops gives
/// requests five seconds, and need not cut anybody off.
const MAX_WAIT: Duration = Duration::from_secs(4);

/// How a gateway asks.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wish {
    /// The version it knows; none at its start.
    after: Option<i64>,
    /// How many seconds it would wait for another one.
    #[serde(default)]
    wait: u8,
}

/// Who may what, or 204 while that is still the version that is known. For gateways alone, so it is
/// in no document.
pub(crate) async fn feed(
    State(app): State<Arc<App>>,
    _: Gateway,
    Query(wish): Query<Wish>,
) -> Result<Response, Problem> {
    let news = newer(&app, wish.after, wish.wait).await?;
    Ok(news.map_or_else(
        || StatusCode::NO_CONTENT.into_response(),
        |snapshot| Json(&*snapshot).into_response(),
    ))
}

/// What is known if it is another version, waiting for one a while.
pub(super) async fn newer(
    app: &App,
    known: Option<i64>,
    wait_s: u8,
) -> Result<Option<Arc<Snapshot>>, RightsError> {
    let now = app.rights.snapshot()?;
    if Some(now.version) != known {
        return Ok(Some(now));
    }
    let wait = Duration::from_secs(wait_s.into()).min(MAX_WAIT);
    let news = tokio::time::timeout(wait, app.rights.other_than(known)).await;
    Ok(news.ok())
}

/// Pushes the version.
pub(crate) fn job(app: Arc<App>, redis: redis::Client) -> Job {
    push::job(redis, Versions(app))
}

struct Versions(Arc<App>);

impl News for Versions {
    const JOB: &'static str = "authz_push";
    const CHANNEL: &'static str = CHANNEL;
    const WHAT: &'static str = "changes of who may what";

    async fn come(&self, told: Option<i64>) {
        self.0.rights.other_than(told).await;
    }

    async fn message(&self, _: Option<i64>) -> anyhow::Result<(Vec<u8>, i64)> {
        let version = self.0.rights.snapshot()?.version;
        let message = serde_json::to_vec(&json!({ "version": version }));
        Ok((message.context("writing a message")?, version))
    }
}
