//! A key that the upstream has vouched for.

use std::net::IpAddr;
use std::sync::Arc;

use identity::Network;
use plugin_sdk::{Form, Principal, Proof};
use serde::Deserialize;

/// What asking came to.
#[derive(Clone)]
pub(super) enum Answer {
    Good(Arc<Known>),
    /// There is no such key.
    Bad,
    /// There was no answer.
    None,
    /// Nobody was asked: too many keys of this client's were nobody's.
    Guessing,
}

/// Whom a key speaks for.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) who: Arc<Principal>,
    pub(super) proof: Arc<Proof>,
    networks: Vec<Network>,
}

/// The upstream's answer.
#[derive(Deserialize)]
struct Said {
    sub: String,
    #[serde(default)]
    roles: Vec<String>,
    #[serde(default)]
    scopes: Vec<String>,
    key: String,
    issued_at: i64,
    #[serde(default)]
    expires_at: Option<i64>,
    networks: Vec<String>,
}

impl Known {
    /// Reads the upstream's answer; `None` when it is none, which is no reason to let anybody in.
    pub(super) fn read(body: &[u8], way: &Arc<str>) -> Option<Self> {
        let said: Said = serde_json::from_slice(body).ok()?;
        let plain = |text: &str| !text.is_empty() && !text.chars().any(char::is_control);
        let mut words = said.roles.iter().chain(&said.scopes);
        if !plain(&said.sub) || !plain(&said.key) || !words.all(|word| plain(word)) {
            return None;
        }
        let networks = said.networks.iter().map(|text| Network::parse(text).ok());
        Some(Self {
            // One that can't be read must not turn "from there only" into "from anywhere".
            networks: networks.collect::<Option<_>>()?,
            who: Arc::new(Principal {
                sub: said.sub,
                roles: said.roles,
                scopes: said.scopes,
                ..Principal::default()
            }),
            proof: Arc::new(Proof {
                way: way.clone(),
                form: Form::Key,
                key: Some(said.key.into()),
                issued_at: said.issued_at,
                expires_at: said.expires_at,
                claims: serde_json::Map::new(),
            }),
        })
    }

    pub(super) fn expired(&self, now: i64) -> bool {
        self.proof.expires_at.is_some_and(|at| at <= now)
    }

    pub(super) fn good_from(&self, client: IpAddr) -> bool {
        let mut networks = self.networks.iter();
        self.networks.is_empty() || networks.any(|network| network.contains(client))
    }
}
