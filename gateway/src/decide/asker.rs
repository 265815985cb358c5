use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use plugin_sdk::{Facts, Form, Principal, Proof, Rights};

use crate::table;

/// The `acr` of somebody who has used a second factor.
const MFA: &str = "mfa";

/// Who asks, and from where, when a request is only thought of.
#[derive(Debug, Clone)]
pub struct Asker {
    /// The address that counts as the client's.
    pub client: IpAddr,
    who: Option<(Arc<Principal>, Arc<Proof>)>,
    /// The permissions that they are said to have, where somebody says it.
    permissions: Option<Arc<[String]>>,
}

impl Asker {
    /// Nobody, from nowhere in particular.
    pub fn nobody() -> Self {
        Self::new(None, None, 0)
    }

    /// Somebody whom a table's test or a command line describes, at a time in Unix seconds.
    pub fn new(client: Option<IpAddr>, caller: Option<&table::Caller>, now: i64) -> Self {
        let who = caller.map(|caller| {
            let second_factor = caller.second_factor.map(|ago| {
                let ago = i64::try_from(ago.0.as_secs()).unwrap_or(i64::MAX);
                now.saturating_sub(ago)
            });
            Principal {
                sub: caller.sub.clone().unwrap_or_else(|| "test".into()),
                roles: caller.roles.clone(),
                scopes: caller.scopes.clone(),
                sid: None,
                acr: second_factor.map(|_| MFA.into()),
                auth_time: second_factor,
            }
        });
        let claims = caller.map(|caller| caller.claims.clone());
        let permissions = caller.and_then(|caller| caller.permissions.clone());
        Self {
            permissions: permissions.map(Arc::from),
            ..Self::proven(client, who, claims.unwrap_or_default(), now)
        }
    }

    /// Somebody of whom a record or a token tells.
    pub fn known_as(client: Option<IpAddr>, who: Option<Principal>, now: i64) -> Self {
        Self::proven(client, who, serde_json::Map::new(), now)
    }

    fn proven(
        client: Option<IpAddr>,
        who: Option<Principal>,
        claims: serde_json::Map<String, serde_json::Value>,
        now: i64,
    ) -> Self {
        let proof = Proof {
            way: "test".into(),
            form: Form::Bearer,
            key: None,
            issued_at: now,
            expires_at: None,
            claims,
        };
        Self {
            client: client.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
            who: who.map(|who| (Arc::new(who), Arc::new(proof))),
            permissions: None,
        }
    }

    /// What is known of who may what, where no upstream is asked.
    pub(crate) fn rights(&self) -> Rights {
        Rights::Supposed(self.permissions.clone())
    }

    /// Takes down who it is, as the `Identify` stage of a route would.
    pub(crate) fn known(&self, facts: &mut Facts) {
        if let Some((principal, proof)) = &self.who {
            facts.know(principal.clone(), proof.clone());
        }
    }
}
