//! Questions of the gateway itself to the upstreams of its table: who owns this key, what has been
//! revoked, who may what. They go to the targets that requests go to, under the same seal.

use std::sync::{Arc, OnceLock, PoisonError, RwLock, Weak};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderValue, Request, header};
use identity::Statement;
use plugin_sdk::{FetchError, Sent, Upstreams};
use uuid::Uuid;

use crate::env;
use crate::plan::Plan;
use crate::proxy::Shared;

/// An answer is here within this time, or there is none.
const WITHIN: Duration = Duration::from_secs(2);

/// Asks once an edge is attached; before that there is nobody to ask.
#[derive(Default)]
pub struct Asking {
    http: OnceLock<Result<reqwest::Client, String>>,
    edge: RwLock<Weak<Shared>>,
}

impl Asking {
    /// From now on this edge's upstreams are asked.
    pub(crate) fn attach(&self, shared: &Arc<Shared>) {
        *self.edge.write().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(shared);
    }

    fn edge(&self) -> Option<Arc<Shared>> {
        let edge = self.edge.read().unwrap_or_else(PoisonError::into_inner);
        edge.upgrade()
    }

    /// Asks something that the upstream may take its time over.
    pub(crate) async fn wait(
        &self,
        upstream: &str,
        asker: &str,
        request: Request<Bytes>,
        limit: usize,
        within: Duration,
    ) -> Result<http::Response<Bytes>, FetchError> {
        let shared = self
            .edge()
            .ok_or_else(|| FetchError("the gateway does not serve yet".into()))?;
        let plan = shared.plan.load_full();
        let entry = plan
            .upstreams
            .get(upstream)
            .ok_or_else(|| FetchError(format!("there is no upstream `{upstream}`")))?;
        let lease = shared
            .upstreams
            .group(entry)
            .choose(&[])
            .ok_or_else(|| FetchError(format!("no address of `{upstream}` is known")))?;
        let (mut parts, body) = request.into_parts();
        let sealed = seal(&plan, upstream, asker);
        parts.headers.insert(identity::HEADER, sealed);
        parts
            .headers
            .entry(header::CONTENT_TYPE)
            .or_insert(HeaderValue::from_static("application/json"));
        if entry.tls.is_some() || entry.h2 {
            // Whom they believe and what they show differs from upstream to upstream: such a
            // question has a connection of its own.
            let asked = lease.ask(Request::from_parts(parts, body), Some(limit));
            let answer = tokio::time::timeout(within, asked).await;
            let answer = answer.map_err(|_| late(within))?;
            return answer.map_err(|error| FetchError(error.to_string()));
        }
        let target = format!("http://{}{}", lease.address(), parts.uri);
        parts.uri = target
            .parse()
            .map_err(|_| FetchError("the question has no path".into()))?;
        let http = self.http.get_or_init(env::client);
        let http = http.as_ref().map_err(|error| FetchError(error.clone()))?;
        let answer = env::send(http, Request::from_parts(parts, body), limit);
        let answer = tokio::time::timeout(within, answer).await;
        answer.map_err(|_| late(within))?
    }
}

fn late(within: Duration) -> FetchError {
    FetchError(format!("no answer within {within:?}"))
}

impl Upstreams for Asking {
    fn ask<'a>(
        &'a self,
        upstream: &'a str,
        asker: &'a str,
        request: Request<Bytes>,
        limit: usize,
    ) -> Sent<'a> {
        Box::pin(self.wait(upstream, asker, request, limit, WITHIN))
    }
}

/// A statement that names nobody, under a route that no table can have.
fn seal(plan: &Plan, upstream: &str, asker: &str) -> HeaderValue {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let now = now.map_or(0, |past| i64::try_from(past.as_secs()).unwrap_or(i64::MAX));
    let statement = Statement {
        who: None,
        client: None,
        aud: upstream.to_owned(),
        route: format!("{}{asker}", identity::GATEWAY_ROUTE),
        request_id: Uuid::now_v7().simple().to_string(),
        iat: now,
        exp: now + plan.identity.ttl_s.min(identity::MAX_TTL_S),
    };
    let sealed = identity::seal(&plan.identity.keys, &statement);
    HeaderValue::from_str(&sealed).expect("a seal is base64url and dots")
}
