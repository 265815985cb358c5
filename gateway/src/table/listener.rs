use plugin_sdk::Period;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{TlsVersion, ToHttps};

/// A socket that clients reach.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Listener {
    /// The address and port, `0.0.0.0:8443`.
    pub bind: std::net::SocketAddr,
    /// The certificates. Without them the listener speaks plain HTTP.
    #[serde(default)]
    pub tls: Option<Tls>,
    /// Of a plain listener: every request is sent on (308) to the same address at `https`, or at
    /// `https:8443` when that is not port 443, and nothing else is served. Only hosts that a
    /// certificate of another listener proves are sent on, others get a 421: no open redirect.
    #[serde(default)]
    pub redirect: Option<ToHttps>,
    /// `required`: every connection begins with a PROXY header (protocol version 1 or 2), which
    /// says who the client is. Only `trusted_proxies` may connect then. Default: none is expected,
    /// and one that comes is refused as the malformed request that it is.
    #[serde(default)]
    pub proxy_protocol: Option<ProxyProtocol>,
    /// The protocols offered. Default: both.
    #[serde(default)]
    pub http: Option<Vec<Protocol>>,
    /// Address blocks (`10.0.0.0/8`) of proxies whose `X-Forwarded-For` is believed. Default: none.
    #[serde(default)]
    pub trusted_proxies: Vec<String>,
    /// More connections than this wait in the kernel's queue. Default: 10000.
    #[serde(default)]
    pub max_connections: Option<std::num::NonZeroUsize>,
    /// More connections than this from one address (IPv6: one /64) are closed. Default: 1000.
    #[serde(default)]
    pub max_connections_per_ip: Option<std::num::NonZeroUsize>,
    /// From accept to the end of the TLS handshake. Default: `10s`.
    #[serde(default)]
    pub handshake_timeout: Option<Period>,
    /// From the first byte of a head to its last. Default: `10s`.
    #[serde(default)]
    pub header_timeout: Option<Period>,
    /// Between two requests on a connection. Default: `60s`.
    #[serde(default)]
    pub idle_timeout: Option<Period>,
    /// Between two reads or two writes of a body. Default: `30s`.
    #[serde(default)]
    pub stall_timeout: Option<Period>,
}

/// Where a listener's certificates lie. All files are watched: renewed ones are shown from the next
/// handshake on, and running connections stay.
///
/// A client is shown the certificate that proves the name which it asks for (SNI), an exact name
/// before a wildcard; the first one when none does. A request for a host that another certificate
/// proves, or that is none of those that the one shown does, is refused with a 421.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// The certificate chain as PEM, leaf first.
    pub cert: String,
    /// The private key as PEM.
    pub key: String,
    /// Further certificates, for other names. No two may prove one name.
    #[serde(default)]
    pub more: Vec<KeyPair>,
    /// The oldest TLS that is spoken, `"1.2"` or `"1.3"`. Of 1.2 only ECDHE with AES-GCM or
    /// ChaCha20 is offered. Default: `"1.2"`.
    #[serde(default)]
    pub min: Option<TlsVersion>,
    /// Asks clients for a certificate of their own. When this changes, running connections end
    /// after their requests and no ticket of before is taken: all clients are judged anew.
    #[serde(default)]
    pub clients: Option<Clients>,
}

/// A certificate chain and its key.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyPair {
    /// The certificate chain as PEM, leaf first.
    pub cert: String,
    /// The private key as PEM.
    pub key: String,
}

/// Whose certificates are believed of clients.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Clients {
    /// The authorities that they come from, as PEM: no others, and none of the system's.
    pub ca: String,
    /// What these have revoked, as PEM; of every authority in a client's chain, or it is refused.
    #[serde(default)]
    pub crl: Option<String>,
    /// Whether who has none is refused in the handshake. Default: no, routes decide.
    #[serde(default)]
    pub required: bool,
}

/// Whether connections begin with a PROXY header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProxyProtocol {
    /// All do.
    Required,
}

/// A version of HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// HTTP/1.1.
    H1,
    /// HTTP/2.
    H2,
}
