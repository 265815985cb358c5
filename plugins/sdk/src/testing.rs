//! Plugins tested without sockets: a scripted request, a stopped clock, a scripted environment.

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use identity::Principal;

use crate::{
    Body, BodyError, BuildError, Chain, Clock, Connection, Env, Facts, Fetch, FetchError, Form,
    Head, Kind, Lent, Link, Meter, Plugin, Proof, Reply, Request, ResponseHead, Seen, Sent, Stage,
    Tasks, Upstreams,
};

/// A chain of one plugin, built as the gateway builds it: from what a file says.
pub fn chain<P: Plugin>(config: serde_json::Value, env: &Env) -> Result<Chain, BuildError> {
    let plugin = Kind::of::<P>().build(config, env)?;
    Ok(Chain::new(vec![Link::new(P::NAME, plugin)]))
}

/// What a future comes to that has nothing to wait for: most hooks answer from memory, and their
/// tests need no runtime.
///
/// # Panics
/// When it does wait.
pub fn at_once<T>(future: impl Future<Output = T>) -> T {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match std::pin::pin!(future).poll(&mut context) {
        std::task::Poll::Ready(value) => value,
        std::task::Poll::Pending => panic!("the future waits"),
    }
}

/// A request to put before a chain.
pub struct TestRequest {
    head: OwnHead,
    body: Option<Bytes>,
    /// What its connection tells.
    pub connection: Connection,
    /// What becomes known of it.
    pub facts: Facts,
}

struct OwnHead {
    method: Method,
    path: String,
    forwarded: Option<String>,
    query: Option<String>,
    headers: HeaderMap,
    client: IpAddr,
}

impl OwnHead {
    fn view<'a>(&'a self, connection: &'a Connection) -> Head<'a> {
        Head {
            method: &self.method,
            host: "edge.test",
            authority: "edge.test",
            path: &self.path,
            forwarded: self.forwarded.as_deref().unwrap_or(&self.path),
            query: self.query.as_deref(),
            headers: &self.headers,
            client: self.client,
            connection,
        }
    }
}

impl TestRequest {
    /// A request from 192.0.2.1 to `edge.test`.
    ///
    /// # Panics
    /// When the method is not one.
    pub fn new(method: &str, target: &str) -> Self {
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query.to_owned())),
            None => (target, None),
        };
        Self {
            head: OwnHead {
                method: method.parse().expect("a method"),
                path: path.to_owned(),
                forwarded: None,
                query,
                headers: HeaderMap::new(),
                client: IpAddr::from([192, 0, 2, 1]),
            },
            body: None,
            connection: Connection::default(),
            facts: Facts {
                route: "test".into(),
                request_id: "test-request".into(),
                ..Facts::default()
            },
        }
    }

    /// Adds a header.
    ///
    /// # Panics
    /// When it is not one.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.head.headers.append(
            name.parse::<HeaderName>().expect("a header name"),
            HeaderValue::from_str(value).expect("a header value"),
        );
        self
    }

    /// Says where it comes from.
    ///
    /// # Panics
    /// When it is no address.
    #[must_use]
    pub fn from(mut self, client: &str) -> Self {
        self.head.client = client.parse().expect("an address");
        self
    }

    /// Lets the upstream get it under another path.
    #[must_use]
    pub fn forwarded(mut self, path: &str) -> Self {
        self.head.forwarded = Some(path.to_owned());
        self
    }

    /// Gives it a body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// Says who is calling, as if a plugin had found it out.
    #[must_use]
    pub fn who(mut self, principal: Principal) -> Self {
        self.facts.know(Arc::new(principal), Arc::new(proof()));
        self
    }

    /// Says how it was proven who is calling.
    #[must_use]
    pub fn proof(mut self, proof: Proof) -> Self {
        self.facts.proof = Some(Arc::new(proof));
        self
    }

    /// Runs every request hook; `Some` is the refusal.
    pub async fn run(&mut self, chain: &Chain) -> Option<Box<Reply>> {
        self.run_stages(chain, |_| true).await
    }

    /// Runs the request hooks of some stages; `Some` is the refusal.
    pub async fn run_stages(
        &mut self,
        chain: &Chain,
        stages: impl Fn(Stage) -> bool,
    ) -> Option<Box<Reply>> {
        let mut body = self.body.clone().map(Whole);
        let head = self.head.view(&self.connection);
        let body = body.as_mut().map(|body| body as &mut dyn Body);
        chain
            .request(&mut Request::new(head, &mut self.facts, body), stages)
            .await
    }

    /// What the chain's ways tell a stranger beyond the 401.
    pub async fn challenge(&mut self, chain: &Chain) -> Option<Box<Reply>> {
        let (head, facts) = self.parts();
        chain.challenge(&mut Request::new(head, facts, None)).await
    }

    /// What a plugin answers to the whole request.
    pub async fn answer(&mut self, link: &Link) -> Box<Reply> {
        let (head, facts) = self.parts();
        link.answer(&mut Request::new(head, facts, None)).await
    }

    /// Lends the head to what judges heads.
    pub fn with_head<T>(&self, judge: impl FnOnce(&Head<'_>) -> T) -> T {
        judge(&self.seen().head)
    }

    fn parts(&mut self) -> (Head<'_>, &mut Facts) {
        let head = self.head.view(&self.connection);
        (head, &mut self.facts)
    }

    /// Runs the hooks on the head that the upstream gets and returns that head.
    pub fn upstream(&self, chain: &Chain) -> HeaderMap {
        let mut headers = self.head.headers.clone();
        chain.upstream_request(&self.seen(), &mut headers);
        headers
    }

    /// Runs the hooks on an answer's head.
    pub fn respond(&self, chain: &Chain, mut head: ResponseHead) -> ResponseHead {
        chain.response(&self.seen(), &mut head);
        head
    }

    /// The same, to look at.
    pub fn seen(&self) -> Seen<'_> {
        Seen {
            head: self.head.view(&self.connection),
            facts: &self.facts,
        }
    }
}

/// A proof by a token of the way `test`, issued at 0 and good for ever.
pub fn proof() -> Proof {
    Proof {
        way: "test".into(),
        form: Form::Bearer,
        key: None,
        issued_at: 0,
        expires_at: None,
        claims: serde_json::Map::new(),
    }
}

struct Whole(Bytes);

impl Body for Whole {
    fn length(&self) -> Option<usize> {
        Some(self.0.len())
    }

    fn read<'a>(
        &'a mut self,
        limit: usize,
    ) -> Pin<Box<dyn Future<Output = Result<Bytes, BodyError>> + Send + 'a>> {
        let answer = if self.0.len() > limit {
            Err(BodyError::TooLong { limit })
        } else {
            Ok(self.0.clone())
        };
        Box::pin(async move { answer })
    }
}

/// A clock that stands still until it is told otherwise.
#[derive(Debug, Default)]
pub struct StoppedClock(Mutex<Duration>);

impl StoppedClock {
    /// Lets time pass.
    pub fn advance(&self, by: Duration) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) += by;
    }
}

impl Clock for StoppedClock {
    /// Starts at 2026-01-01T00:00:00Z.
    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_225_600) + self.monotonic()
    }
    fn monotonic(&self) -> Duration {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Documents by address; any other address fails. Counts what was asked for.
#[derive(Debug, Default)]
pub struct ScriptedFetch {
    documents: Mutex<HashMap<String, Bytes>>,
    asked: Mutex<Vec<String>>,
}

impl ScriptedFetch {
    /// Puts a document under an address; `None` takes it away.
    pub fn set(&self, url: &str, document: Option<&str>) {
        let mut documents = self
            .documents
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        match document {
            Some(text) => documents.insert(url.to_owned(), Bytes::copy_from_slice(text.as_bytes())),
            None => documents.remove(url),
        };
    }

    /// How many fetches there were.
    pub fn count(&self) -> usize {
        self.asked
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .len()
    }
}

impl ScriptedFetch {
    fn look(&self, address: String, limit: usize) -> Result<http::Response<Bytes>, FetchError> {
        let documents = self
            .documents
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let document = documents.get(&address).cloned();
        drop(documents);
        self.asked
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(address);
        match document {
            Some(document) if document.len() <= limit => Ok(http::Response::new(document)),
            Some(_) => Err(FetchError(format!("longer than {limit} bytes"))),
            None => Err(FetchError("connection refused".into())),
        }
    }
}

impl Fetch for ScriptedFetch {
    /// Answers with 200 and the document.
    fn send<'a>(&'a self, request: http::Request<Bytes>, limit: usize) -> Sent<'a> {
        let answer = self.look(request.uri().to_string(), limit);
        Box::pin(async move { answer })
    }
}

impl Upstreams for ScriptedFetch {
    /// Answers with 200 and the document under `upstream:/path`.
    fn ask<'a>(
        &'a self,
        upstream: &'a str,
        _asker: &'a str,
        request: http::Request<Bytes>,
        limit: usize,
    ) -> Sent<'a> {
        let answer = self.look(format!("{upstream}:{}", request.uri()), limit);
        Box::pin(async move { answer })
    }
}

/// Counts events by plugin and event.
#[derive(Debug, Default)]
pub struct TestMeter(Mutex<HashMap<(String, &'static str), u64>>);

impl TestMeter {
    /// How often a plugin told of an event.
    pub fn of(&self, plugin: &str, event: &'static str) -> u64 {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts
            .get(&(plugin.to_owned(), event))
            .copied()
            .unwrap_or(0)
    }
}

impl Meter for TestMeter {
    fn count(&self, plugin: &str, event: &'static str) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry((plugin.to_owned(), event)).or_default() += 1;
    }
}

/// What a test's plugins are lent: the parts are kept to be moved by the test.
pub struct TestEnv {
    /// The clock.
    pub clock: Arc<StoppedClock>,
    /// The documents, of other servers and of upstreams.
    pub fetch: Arc<ScriptedFetch>,
    /// What was counted.
    pub meter: Arc<TestMeter>,
    /// What is lent.
    pub env: Env,
}

impl TestEnv {
    /// Relative paths start at `base`. Tasks are given to `tasks`.
    pub fn new(base: impl Into<PathBuf>, tasks: Arc<dyn Tasks>) -> Self {
        let clock = Arc::new(StoppedClock::default());
        let fetch = Arc::new(ScriptedFetch::default());
        let meter = Arc::new(TestMeter::default());
        let lent = Lent {
            clock: clock.clone(),
            tasks,
            fetch: fetch.clone(),
            upstreams: fetch.clone(),
            meter: meter.clone(),
        };
        Self {
            env: Env::new(base.into(), lent),
            clock,
            fetch,
            meter,
        }
    }
}

impl Default for TestEnv {
    /// For plugins that read no file and run no task.
    fn default() -> Self {
        Self::new("", Arc::new(NoTasks))
    }
}

/// Runs no task.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoTasks;

impl Tasks for NoTasks {
    fn spawn(&self, _task: Pin<Box<dyn Future<Output = ()> + Send>>) {}
}
