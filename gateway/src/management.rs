//! Where operators, Prometheus and Kubernetes ask. On an address of its own, which must never be
//! reachable from outside; it only tells and changes nothing.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::Serialize;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use crate::action::Rewrite;
use crate::decide;
use crate::plan::Plan;
use crate::proxy::Shared;
use crate::router::Host;

/// Connections at once: those who ask here are few.
const CONNECTIONS: usize = 64;
/// For a head.
const HEAD: Duration = Duration::from_secs(5);
/// For a connection as a whole.
const LIFE: Duration = Duration::from_secs(300);

/// The inner port.
pub struct Management {
    address: SocketAddr,
    ready: Arc<AtomicBool>,
    accepting: tokio::task::AbortHandle,
}

impl Management {
    /// Binds and serves. `/readyz` says no until [`Management::ready`].
    pub async fn start(bind: SocketAddr, shared: Arc<Shared>) -> std::io::Result<Self> {
        let socket = TcpListener::bind(bind).await?;
        let address = socket.local_addr()?;
        let ready = Arc::new(AtomicBool::new(false));
        let accepting = tokio::spawn(accept(socket, shared, ready.clone())).abort_handle();
        Ok(Self {
            address,
            ready,
            accepting,
        })
    }

    /// Where it is bound.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The table is loaded and the listeners are up.
    pub fn ready(&self) {
        self.ready.store(true, Ordering::Release);
    }
}

impl Drop for Management {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(socket: TcpListener, shared: Arc<Shared>, ready: Arc<AtomicBool>) {
    let connections = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(permit) = connections.clone().acquire_owned().await else {
            return;
        };
        let Ok((tcp, _)) = socket.accept().await else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let (shared, ready) = (shared.clone(), ready.clone());
        tokio::spawn(async move {
            // A connection that fails or outstays concerns its client only.
            let _ = tokio::time::timeout(LIFE, serve(tcp, shared, ready)).await;
            drop(permit);
        });
    }
}

async fn serve(tcp: TcpStream, shared: Arc<Shared>, ready: Arc<AtomicBool>) -> hyper::Result<()> {
    let service = service_fn(|request: Request<Incoming>| {
        let answer = answer(&request, &shared, &ready);
        async move { Ok::<_, Infallible>(answer) }
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .serve_connection(TokioIo::new(tcp), service)
        .await
}

fn answer<B>(request: &Request<B>, shared: &Shared, ready: &AtomicBool) -> Response<String> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return text(StatusCode::METHOD_NOT_ALLOWED, "only GET\n");
    }
    if !is_ours(request.headers(), &shared.plan.load().management.hosts) {
        return text(StatusCode::MISDIRECTED_REQUEST, "not asked as this host\n");
    }
    match request.uri().path() {
        "/livez" => text(StatusCode::OK, "alive\n"),
        "/readyz" if shared.draining.load(Ordering::Acquire) => {
            text(StatusCode::SERVICE_UNAVAILABLE, "draining\n")
        }
        "/readyz" if !ready.load(Ordering::Acquire) => {
            text(StatusCode::SERVICE_UNAVAILABLE, "starting\n")
        }
        "/readyz" => text(StatusCode::OK, "ready\n"),
        "/metrics" => typed("text/plain; version=0.0.4", shared.metrics.render()),
        "/routes" => typed("application/json", routes(&shared.plan.load())),
        _ => text(StatusCode::NOT_FOUND, "/livez /readyz /metrics /routes\n"),
    }
}

/// Whether we are asked as what we are. A web page that makes its own name point at this address
/// (DNS rebinding) could read all that we tell; its browser says that name. Tools that say none
/// are no browsers.
fn is_ours(headers: &HeaderMap, further: &[String]) -> bool {
    headers.get_all(header::HOST).iter().all(|host| {
        let Some(host) = decide::host(host.to_str().ok()) else {
            return false;
        };
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        host == "localhost" || bare.parse::<IpAddr>().is_ok() || further.contains(&host)
    })
}

fn text(status: StatusCode, body: &str) -> Response<String> {
    let mut answer = typed("text/plain; charset=utf-8", body.to_owned());
    *answer.status_mut() = status;
    answer
}

fn typed(kind: &'static str, body: String) -> Response<String> {
    let mut answer = Response::new(body);
    answer
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    answer
}

/// A route as `/routes` tells it: what an operator asks first.
#[derive(Serialize)]
struct Told<'a> {
    id: &'a str,
    host: Option<String>,
    methods: Vec<&'a str>,
    path: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    conditions: String,
    action: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    forwarded: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mirror: Option<String>,
    authenticated: bool,
    chain: Vec<&'a str>,
    cache: Option<&'a str>,
}

#[derive(Serialize)]
struct Table<'a> {
    version: &'a str,
    routes: Vec<Told<'a>>,
}

fn routes(plan: &Plan) -> String {
    let routes = plan.routes.values().map(|route| Told {
        id: &route.id,
        host: (route.rule.host != Host::Any).then(|| route.rule.host.to_string()),
        conditions: route.rule.conditions.to_string(),
        methods: route.rule.methods.iter().map(Method::as_str).collect(),
        path: route.rule.path.to_string(),
        action: route.action.to_string(),
        forwarded: route
            .action
            .forward()
            .filter(|forward| forward.rewrite != Rewrite::None)
            .map(|forward| forward.rewrite.to_string()),
        mirror: route
            .action
            .forward()
            .and_then(|forward| forward.mirror.as_ref())
            .map(ToString::to_string),
        authenticated: route.authenticated,
        chain: route.chain.links().iter().map(|link| &*link.name).collect(),
        cache: route.cache.as_ref().map(|policy| &*policy.name),
    });
    let table = Table {
        version: &plan.version,
        routes: routes.collect(),
    };
    serde_json::to_string(&table).expect("only strings and lists")
}
