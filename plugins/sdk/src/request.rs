use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use identity::Principal;

/// A request's head as the gateway judges it. The path is the canonical one: the same string is
/// matched, judged, cached, logged and forwarded.
#[derive(Debug, Clone, Copy)]
pub struct Head<'a> {
    /// The method.
    pub method: &'a Method,
    /// The host asked for, in lower case, without the port.
    pub host: &'a str,
    /// The canonical path.
    pub path: &'a str,
    /// The query as it came, without the `?`.
    pub query: Option<&'a str>,
    /// The headers as they came, less every form of an identity header.
    pub headers: &'a HeaderMap,
    /// The address that counts as the client's: the socket's, or what a trusted proxy said.
    pub client: IpAddr,
}

impl<'a> Head<'a> {
    /// The value of a header that must come at most once; `None` when it is absent, repeated or
    /// not text.
    pub fn single(&self, name: &HeaderName) -> Option<&'a str> {
        let mut values = self.headers.get_all(name).iter();
        let value = values.next()?;
        match values.next() {
            None => value.to_str().ok(),
            Some(_) => None,
        }
    }
}

/// The path's parameters, in the order of the pattern.
pub type Params = Vec<(Arc<str>, String)>;

/// What becomes known of a request on its way. Plugins add to it; it outlives the hooks.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// The id of the route that matched.
    pub route: Arc<str>,
    /// The path's parameters.
    pub params: Params,
    /// The id that the answer, the access record and the backends' logs share.
    pub request_id: String,
    /// Who is calling, once a plugin of [`Stage::Identify`](crate::Stage::Identify) knows.
    pub principal: Option<Arc<Principal>>,
    /// Headers that every answer to this request gets, whoever makes it.
    pub answer_headers: Vec<(HeaderName, HeaderValue)>,
}

/// What a request hook sees and may change.
pub struct Request<'a> {
    /// The request's head.
    pub head: Head<'a>,
    /// What is known of it so far.
    pub facts: &'a mut Facts,
    body: Option<&'a mut dyn Body>,
}

impl<'a> Request<'a> {
    /// Puts together what a hook sees. `body: None` says that there is none.
    pub fn new(head: Head<'a>, facts: &'a mut Facts, body: Option<&'a mut dyn Body>) -> Self {
        Self { head, facts, body }
    }

    /// Reads the whole body, which the upstream then gets byte for byte. Only from
    /// [`Plugin::request_wait`](crate::Plugin::request_wait). May be called again: the same bytes.
    ///
    /// Fails when it is longer than `limit` bytes or does not arrive.
    pub async fn body(&mut self, limit: usize) -> Result<Bytes, BodyError> {
        match &mut self.body {
            Some(body) => body.read(limit).await,
            None => Ok(Bytes::new()),
        }
    }

    /// Whether the request has a body to read.
    pub fn has_body(&self) -> bool {
        self.body.is_some()
    }

    /// The same, to look at only.
    pub fn seen(&self) -> Seen<'_> {
        Seen {
            head: self.head,
            facts: self.facts,
        }
    }
}

/// What the hooks after the request see.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    /// The request's head.
    pub head: Head<'a>,
    /// What became known of it.
    pub facts: &'a Facts,
}

/// The head of an answer, to be edited.
#[derive(Debug, Clone, Default)]
pub struct ResponseHead {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
}

/// A request's body, as the transport lends it.
pub trait Body: Send {
    /// Reads all of it, at most `limit` bytes.
    fn read<'a>(
        &'a mut self,
        limit: usize,
    ) -> Pin<Box<dyn Future<Output = Result<Bytes, BodyError>> + Send + 'a>>;
}

/// Why a body could not be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// Longer than asked for.
    #[error("the body is longer than {limit} bytes")]
    TooLong {
        /// In bytes.
        limit: usize,
    },
    /// It did not arrive whole, or not in time.
    #[error("the body did not arrive")]
    Incomplete,
}
