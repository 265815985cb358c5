//! Knows a caller by the certificate of its TLS connection, as services and devices prove who they
//! are. The listener says which authorities it trusts (`tls: { clients: … }`); this says who is who.
//!
//! ```yaml
//! client_certificate:
//!   subjects:
//!     "spiffe://acme/billing": { sub: billing, roles: [service], scopes: ["transfers:read"] }
//!     "dns:reports.acme.example": { sub: reports, scopes: ["wallets:read"] }
//!     "cn:Till 7": { sub: till-7 }
//!   issuer: "CN=Acme Clients CA" # where the listener trusts more than one authority
//! ```
//!
//! A subject is named whole, by one of:
//!
//! - an alternative name: a URI as it stands, `dns:`, `email:`. A `spiffe://` name must be the
//!   certificate's only URI (SPIFFE X.509-SVID §2).
//! - `cn:`, the one common name of its subject. Any authority can write anything there: prefer the
//!   alternative names.
//! - `sha256:` and the fingerprint of the certificate, 64 hex digits.
//!
//! A connection lives for long and a resumed one goes back to an older handshake: whether the
//! certificate is valid is asked with each request. Past its time it is a 401; so is one that two
//! entries of different callers name. One that no entry names is nobody's.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use plugin_sdk::{BuildError, Clock, Env, Flow, Form, Principal, Proof, Reply, Request, Stage};
use schemars::JsonSchema;
use serde::Deserialize;
use sha2::{Digest, Sha256};

mod names;

use names::{Certificate, Subject};

/// Certificates that were read are remembered, up to this many.
const REMEMBERED: u64 = 10_000;

/// Whose certificates are believed.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Who is who: the certificate's subject to the caller.
    #[schemars(extend("minProperties" = 1))]
    pub subjects: BTreeMap<String, Caller>,
    /// The issuer's name, its parts in the certificate's order: `C=DE, O=Acme, CN=Acme Clients CA`.
    /// Default: any that the listener trusts.
    #[serde(default)]
    pub issuer: Option<String>,
}

/// Somebody who is known by a certificate.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Caller {
    /// The subject.
    pub sub: String,
    /// The roles held.
    #[serde(default)]
    pub roles: Vec<String>,
    /// The scopes granted.
    #[serde(default)]
    pub scopes: Vec<String>,
}

/// The plugin.
pub struct Plugin {
    way: Arc<str>,
    subjects: HashMap<Subject, Arc<Principal>>,
    issuer: Option<String>,
    /// By the certificate's SHA-256: reading one costs more than hashing it.
    known: moka::sync::Cache<[u8; 32], Arc<Known>>,
    clock: Arc<dyn Clock>,
}

/// What a certificate comes to, whenever it is looked at.
enum Known {
    Caller {
        who: Arc<Principal>,
        proof: Arc<Proof>,
        not_before: i64,
        not_after: i64,
    },
    Nobody,
    /// It names two callers.
    Ambiguous,
}

impl plugin_sdk::Plugin for Plugin {
    const NAME: &'static str = "client_certificate";
    const STAGE: Stage = Stage::Identify;
    type Config = Config;

    fn build(config: Config, env: &Env) -> Result<Self, BuildError> {
        if config.subjects.is_empty() {
            return Err(BuildError::new(
                "subjects",
                "is empty: nobody would be known",
            ));
        }
        let mut subjects = HashMap::new();
        for (name, caller) in config.subjects {
            let fault = |why: String| BuildError {
                at: vec!["subjects".to_owned(), name.clone()],
                message: why,
                hint: None,
            };
            let subject = Subject::parse(&name).map_err(|hint| {
                fault(format!("`{name}` is no name of a certificate")).hint(hint)
            })?;
            if caller.sub.is_empty() || caller.sub.chars().any(char::is_control) {
                return Err(fault(
                    "has no `sub`, or one with control characters".to_owned(),
                ));
            }
            let who = Principal {
                sub: caller.sub,
                roles: caller.roles,
                scopes: caller.scopes,
                ..Principal::default()
            };
            if subjects.insert(subject, Arc::new(who)).is_some() {
                return Err(fault("is there twice, in two spellings".to_owned()));
            }
        }
        Ok(Self {
            way: env.entry().into(),
            subjects,
            issuer: config.issuer,
            known: moka::sync::Cache::new(REMEMBERED),
            clock: Arc::clone(&env.clock),
        })
    }

    fn request(&self, request: &mut Request<'_>) -> Flow {
        let Some(der) = &request.head.connection.certificate else {
            return Flow::Continue;
        };
        match &*self.look(der) {
            Known::Caller {
                who,
                proof,
                not_before,
                not_after,
            } => {
                let now = self.clock.unix();
                if now < *not_before || *not_after < now {
                    return refuse(request, "the client certificate is not valid now");
                }
                request.facts.know(who.clone(), proof.clone());
                Flow::Continue
            }
            Known::Ambiguous => {
                refuse(request, "the client certificate names more than one caller")
            }
            Known::Nobody => {
                request.facts.unclaimed = true;
                Flow::Continue
            }
        }
    }
}

impl Plugin {
    fn look(&self, der: &Bytes) -> Arc<Known> {
        let fingerprint: [u8; 32] = Sha256::digest(der).into();
        if let Some(known) = self.known.get(&fingerprint) {
            return known;
        }
        let known = Arc::new(self.read(der, fingerprint));
        self.known.insert(fingerprint, known.clone());
        known
    }

    fn read(&self, der: &[u8], fingerprint: [u8; 32]) -> Known {
        // The handshake has read it too, so this is no place where much can go wrong.
        let Some(certificate) = Certificate::read(der, fingerprint) else {
            return Known::Nobody;
        };
        if self
            .issuer
            .as_ref()
            .is_some_and(|issuer| *issuer != certificate.issuer)
        {
            return Known::Nobody;
        }
        let mut callers = certificate
            .names
            .iter()
            .filter_map(|name| self.subjects.get(name));
        let Some(who) = callers.next() else {
            return Known::Nobody;
        };
        if callers.any(|other| other != who) {
            return Known::Ambiguous;
        }
        let key: String = fingerprint
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        Known::Caller {
            who: who.clone(),
            proof: Arc::new(Proof {
                way: self.way.clone(),
                form: Form::Certificate,
                key: Some(key.into()),
                issued_at: certificate.not_before,
                expires_at: Some(certificate.not_after),
                claims: serde_json::Map::new(),
            }),
            not_before: certificate.not_before,
            not_after: certificate.not_after,
        }
    }
}

fn refuse(request: &Request<'_>, why: &'static str) -> Flow {
    tracing::debug!(route = %request.facts.route, why, "a client certificate was refused");
    let reply = Reply::problem(
        StatusCode::UNAUTHORIZED,
        "invalid_certificate",
        "The client certificate is not valid",
    );
    Flow::Reply(Box::new(reply.detail(why)))
}

#[cfg(test)]
mod tests;
