use std::sync::Arc;

use async_trait::async_trait;
use pingora::apps::{HttpServerApp, HttpServerOptions, ReusedHttpStream};
use pingora::protocols::http::ServerSession;
use pingora::protocols::http::v2::server::{H2Options, default_h2_options};
use pingora::proxy::{HttpProxy, http_proxy};
use pingora::server::ShutdownWatch;
use pingora::server::configuration::ServerConf;

use crate::plan;
use crate::proxy::Proxy;
use crate::revocation::leashed;

/// What the heads of all streams of one HTTP/2 connection may take, in bytes, before our own check
/// of each: 64 KiB, the same for all listeners because the transport is told once.
const MAX_H2_HEAD: u32 = 64 * 1024;
/// Streams at once on one HTTP/2 connection.
const MAX_H2_STREAMS: u32 = 128;
/// Requests on one HTTP/1 connection.
const MAX_H1_REQUESTS: u32 = 10_000;
/// Idle connections kept to upstreams, per worker thread. All listeners share them.
const IDLE_UPSTREAM_CONNECTIONS: usize = 256;

/// Drives one connection: the proxy that all connections share, with the deadlines of this one's
/// listener. A changed deadline holds from the next connection on.
pub(super) struct Driver {
    proxy: Arc<HttpProxy<Proxy>>,
    options: HttpServerOptions,
}

impl Driver {
    pub(super) fn new(proxy: Arc<HttpProxy<Proxy>>, listener: &plan::Listener) -> Arc<Self> {
        let mut options = HttpServerOptions::default();
        options.keepalive_request_limit = Some(MAX_H1_REQUESTS);
        options.h2_idle_timeout = Some(listener.idle_timeout);
        Arc::new(Self { proxy, options })
    }
}

#[async_trait]
impl HttpServerApp for Driver {
    async fn process_new_http(
        self: &Arc<Self>,
        session: ServerSession,
        shutdown: &ShutdownWatch,
    ) -> Option<ReusedHttpStream> {
        // Each request on a leash of its own: what a caller began goes on only while they may.
        leashed(self.proxy.process_new_http(session, shutdown))
            .await
            .flatten()
    }

    fn h2_options(&self) -> Option<H2Options> {
        self.proxy.h2_options()
    }

    fn server_options(&self) -> Option<&HttpServerOptions> {
        Some(&self.options)
    }
}

/// The proxy of an edge, with its one pool of connections to upstreams.
pub(super) fn shared(proxy: Proxy) -> Arc<HttpProxy<Proxy>> {
    let conf = ServerConf {
        threads: std::thread::available_parallelism().map_or(1, usize::from),
        upstream_keepalive_pool_size: IDLE_UPSTREAM_CONNECTIONS,
        max_retries: crate::upstream::MAX_ATTEMPTS as usize,
        ..ServerConf::default()
    };
    let mut h2 = default_h2_options();
    h2.max_concurrent_streams(MAX_H2_STREAMS)
        .max_header_list_size(MAX_H2_HEAD);
    let mut driven = http_proxy(&Arc::new(conf), proxy);
    driven.h2_options = Some(h2);
    Arc::new(driven)
}
