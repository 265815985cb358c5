use std::any::Any;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use identity::Principal;
use serde_json::{Map, Value};

use crate::Rights;

/// A request's head as the gateway judges it. The path is the canonical one: the same string is
/// matched, judged, cached and logged.
#[derive(Debug, Clone, Copy)]
pub struct Head<'a> {
    /// The method.
    pub method: &'a Method,
    /// The host asked for, in lower case, without the port.
    pub host: &'a str,
    /// `Host` or `:authority`, as it came.
    pub authority: &'a str,
    /// The canonical path.
    pub path: &'a str,
    /// The path under which the upstream gets it: the same one, unless the route rewrites it.
    pub forwarded: &'a str,
    /// The query as it came, without the `?`.
    pub query: Option<&'a str>,
    /// The headers as they came, less every form of an identity header.
    pub headers: &'a HeaderMap,
    /// The address that counts as the client's: the socket's, or what a trusted proxy said.
    pub client: IpAddr,
    /// What the client's connection tells.
    pub connection: &'a Connection,
}

/// What is known of a client's connection. All its requests share it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Connection {
    /// Whether it is encrypted.
    pub tls: bool,
    /// The name that the client asked for in its handshake (RFC 6066 §3), in lower case.
    pub server_name: Option<Box<str>>,
    /// The client's certificate as DER, the leaf only. What signed it is among the authorities that
    /// the listener trusts; whether it is valid *now* is to be asked per request, since a
    /// connection, or a session that it resumes, may be old.
    pub certificate: Option<Bytes>,
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
    /// How that was proven.
    pub proof: Option<Arc<Proof>>,
    /// What is known of who may what, once it is known who is calling.
    pub rights: Rights,
    /// Whether it was let through since that is not known: only of a request that is thought of.
    pub unjudged: bool,
    /// Whether a credential came that none of the ways took for its own.
    pub unclaimed: bool,
    /// The policies in [`Mode::Shadow`](crate::Mode::Shadow) that would have refused, by name.
    pub would_deny: Vec<Arc<str>>,
    /// Headers that every answer to this request gets, whoever makes it. They replace an upstream's
    /// of the same name; a cookie stands beside its cookies.
    pub answer_headers: Vec<(HeaderName, HeaderValue)>,
    /// What is given back when the request has ended, however it ends: see [`Facts::hold`].
    pub held: Vec<Arc<dyn Any + Send + Sync>>,
}

impl Facts {
    /// Takes down who is calling, and by what proof.
    pub fn know(&mut self, principal: Arc<Principal>, proof: Arc<Proof>) {
        self.principal = Some(principal);
        self.proof = Some(proof);
    }

    /// Keeps a thing until the request has ended. It is dropped after the answer's last byte, and
    /// when the client goes away or a hook panics: what a permit or a count hangs on.
    pub fn hold(&mut self, thing: impl Any + Send + Sync) {
        self.held.push(Arc::new(thing));
    }
}

/// How somebody proved who they are.
#[derive(Debug, Clone, PartialEq)]
pub struct Proof {
    /// The name of the way in the route table, under `auth`.
    pub way: Arc<str>,
    /// In which form it came.
    pub form: Form,
    /// What was used, where it has a name: the id of an API key or of a signing key, the
    /// fingerprint of a certificate, the id of a session. Never a secret.
    pub key: Option<Arc<str>>,
    /// When it was issued, in Unix seconds.
    pub issued_at: i64,
    /// From when on it proves nothing, in Unix seconds.
    pub expires_at: Option<i64>,
    /// What the issuer says of the caller, verified.
    pub claims: Map<String, Value>,
}

/// The forms of a proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Form {
    /// A token in `Authorization: Bearer` (RFC 6750).
    Bearer,
    /// An API key.
    Key,
    /// A browser's session cookie: sent along without anybody's doing.
    Session,
    /// A certificate of the client's (RFC 8446 §4.4.2).
    Certificate,
    /// A signature of the request (RFC 9421).
    Signature,
}

/// What a request hook sees and may change.
pub struct Request<'a> {
    /// The request's head.
    pub head: Head<'a>,
    /// What is known of it so far.
    pub facts: &'a mut Facts,
    body: Option<&'a mut dyn Body>,
    look: Look,
}

/// How a hook reads the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Look {
    /// As it likes: whatever becomes of the body, the hook's word counts.
    Freely,
    /// Only if that can't harm the request.
    Harmless,
    /// It would have harmed the request, and was not done: the hook's word is worth nothing.
    Withheld,
}

impl<'a> Request<'a> {
    /// Puts together what a hook sees. `body: None` says that there is none.
    pub fn new(head: Head<'a>, facts: &'a mut Facts, body: Option<&'a mut dyn Body>) -> Self {
        let look = Look::Freely;
        Self {
            head,
            facts,
            body,
            look,
        }
    }

    /// Changes how the body is read; gives back how it was until now.
    pub(crate) fn set_look(&mut self, look: Look) -> Look {
        std::mem::replace(&mut self.look, look)
    }

    /// Reads the whole body, which the upstream then gets byte for byte. Only from
    /// [`Plugin::request_wait`](crate::Plugin::request_wait). May be called again: the same bytes.
    ///
    /// Fails when it is longer than `limit` bytes or does not arrive.
    pub async fn body(&mut self, limit: usize) -> Result<Bytes, BodyError> {
        match &mut self.body {
            Some(body) if self.look != Look::Freely && body.length().is_none() => {
                // Too long a body is known for that by reading it, and can't be sent on then.
                self.look = Look::Withheld;
                Err(BodyError::Incomplete)
            }
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
    /// How long it is, in bytes, if that is known before it is read.
    fn length(&self) -> Option<usize>;

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
