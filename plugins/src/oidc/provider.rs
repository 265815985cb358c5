use std::sync::Arc;
use std::time::Duration;

use plugin_sdk::Env;
use serde_json::{Map, Value};

use super::config::Settings;
use super::metadata::{Metadata, MetadataFault};
use crate::jwt::{Alg, Fault, Keys, MAX_TOKEN_BYTES, Origin, Times, Token, Typ};

/// The longest that a sign-in waits for what the provider says of itself, or for its keys.
const WITHIN: Duration = Duration::from_secs(2);

/// How long keys are trusted while the provider can't be reached. Nobody signs in then anyway: it
/// has to change the code.
const STALE: Duration = Duration::from_secs(3600);

/// The provider as it describes itself, and its keys: fetched ahead, in one task, with the keys of
/// access tokens.
pub(super) struct Provider {
    keys: Arc<Keys>,
    issuer: String,
    algs: Vec<Alg>,
}

/// Why nobody can be sent to the provider.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Away {
    #[error("the provider can't be reached")]
    Silent,
    #[error("the provider can't be used: {0}")]
    Unfit(#[from] MetadataFault),
}

impl Provider {
    pub(super) fn start(settings: &Settings, env: &Env) -> Self {
        let times = Times {
            refresh: settings.refresh,
            stale: STALE.max(settings.refresh),
        };
        let (issuer, algs) = (settings.issuer.clone(), settings.algs.clone());
        let name = format!("oidc {} {issuer} {algs:?} {times:?}", env.name());
        let keys = env.keep(&name, || {
            Keys::remote(Origin::Issuer(issuer.clone()), &algs, times, env)
        });
        keys.start(env);
        Self { keys, issuer, algs }
    }

    /// What the provider says of itself, as far as it is known now.
    pub(super) fn metadata(&self) -> Result<Metadata, Away> {
        // It is read anew for each sign-in, of which there are few.
        let document = self.keys.description().ok_or(Away::Silent)?;
        Ok(Metadata::read(&document, &self.issuer, &self.algs)?)
    }

    /// The same, after a wait for the first answer.
    pub(super) async fn described(&self) -> Result<Metadata, Away> {
        if self.keys.description().is_none() && self.keys.want() {
            self.keys.fetched(WITHIN).await;
        }
        self.metadata()
    }

    /// Asks it again soon: somebody has found it away.
    pub(super) fn look_again(&self) {
        self.keys.want();
    }

    /// The claims of an ID token that one of its keys has signed, and with which algorithm. Nothing
    /// else is judged yet.
    pub(super) async fn verify(&self, text: &str) -> Result<(Alg, Map<String, Value>), Fault> {
        match self.check(text) {
            // New keys may be out: a fetch decides, unless the last one is too fresh.
            Err(Fault::UnknownKey) if self.keys.want() => {
                self.keys.fetched(WITHIN).await;
                self.check(text)
            }
            checked => checked,
        }
    }

    fn check(&self, text: &str) -> Result<(Alg, Map<String, Value>), Fault> {
        if text.len() > MAX_TOKEN_BYTES {
            return Err(Fault::TooLong);
        }
        let token = Token::read(text).ok_or(Fault::Header)?;
        // An access token of the same provider is signed with the same keys, and says `at+jwt`.
        let (alg, kid) = token.signed_with(&self.algs, &[Typ::Jwt, Typ::Absent])?;
        let keys = self.keys.current().ok_or(Fault::UnknownKey)?;
        let candidates = keys.find(kid, alg);
        let claims = token.verify(alg, &candidates)?;
        Ok((alg, claims))
    }
}
