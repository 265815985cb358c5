//! Lets in who may: all of the keys, any of a key's list.
//!
//! ```yaml
//! acl:
//!   roles: [user, support] # one of these
//!   scopes: ["transfers:write"] # and one of these
//!   second_factor_within: 5m # and proven by a second factor a short while ago
//! ```
//!
//! With `permissions` one of the caller's roles must grant one of them. Which role grants what is not
//! said here: it is told by the upstream that the table names under `rights`. So are the rules of an
//! API, which `acl` names. Those come on top of all that stands here and only narrow it; an API
//! without rules lets nobody in:
//!
//! ```yaml
//! acl:
//!   permissions: [wallets.read, wallets.manage]
//!   acl: wallets
//!   owner_param: user_id # the parameter of the path that a rule for owners means
//! ```
//!
//! Whoever can't be judged since nobody tells is answered 503.
//!
//! More keys: `claims` (what else the issuer says), `owner` (a parameter of the path that must be the
//! caller), `acr` (how strongly it was proven), `ips` (where from; it needs no caller). With `any`
//! one of several such demands is enough:
//!
//! ```yaml
//! acl:
//!   any:
//!     - { owner: user_id }
//!     - { roles: [support], second_factor_within: 15m }
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;

use plugin_sdk::{BuildError, Clock, Env, Flow, OneOrMany, Period, Request, Stage};
use schemars::JsonSchema;
use serde::Deserialize;

mod api;
mod demand;

use api::Api;
use demand::{Demand, Verdict};

/// Whom to let in.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Roles of which the caller must hold one.
    #[schemars(length(min = 1))]
    pub roles: Option<Vec<String>>,
    /// Permissions of which one of the caller's roles must grant one; see `rights`.
    #[schemars(length(min = 1))]
    pub permissions: Option<Vec<String>>,
    /// Scopes of which the caller must hold one.
    #[schemars(length(min = 1))]
    pub scopes: Option<Vec<String>>,
    /// What the issuer must say of the caller, each by its name (`tenant`, `org.id`): one of these
    /// texts, or a list that holds one of them.
    #[schemars(length(min = 1))]
    pub claims: Option<BTreeMap<String, OneOrMany>>,
    /// The parameter of the path that must be the caller's subject.
    pub owner: Option<String>,
    /// How strongly it must have been proven who is calling: one of these `acr` (RFC 9470).
    #[schemars(length(min = 1))]
    pub acr: Option<Vec<String>>,
    /// How long ago a second factor may have been used. It counts with the `acr` above, or `mfa`
    /// where none is said.
    pub second_factor_within: Option<Period>,
    /// Where it must come from: addresses and blocks (`10.0.0.0/8`).
    #[schemars(length(min = 1))]
    pub ips: Option<Vec<String>>,
    /// The API whose rules must let the caller in as well, by the request's method; see `rights`.
    pub acl: Option<String>,
    /// The parameter of the path that must be the caller where a rule of that API asks for the
    /// owner. Without it such a rule lets nobody in.
    pub owner_param: Option<String>,
    /// Demands of which one must hold as well.
    #[schemars(length(min = 1))]
    pub any: Option<Vec<Choice>>,
}

/// One of several demands; its keys are those of `allow`.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Choice {
    /// Roles of which the caller must hold one.
    #[schemars(length(min = 1))]
    pub roles: Option<Vec<String>>,
    /// Permissions of which one of the caller's roles must grant one; see `rights`.
    #[schemars(length(min = 1))]
    pub permissions: Option<Vec<String>>,
    /// Scopes of which the caller must hold one.
    #[schemars(length(min = 1))]
    pub scopes: Option<Vec<String>>,
    /// What the issuer must say of the caller.
    #[schemars(length(min = 1))]
    pub claims: Option<BTreeMap<String, OneOrMany>>,
    /// The parameter of the path that must be the caller's subject.
    pub owner: Option<String>,
    /// How strongly it must have been proven who is calling.
    #[schemars(length(min = 1))]
    pub acr: Option<Vec<String>>,
    /// How long ago a second factor may have been used.
    pub second_factor_within: Option<Period>,
    /// Where it must come from.
    #[schemars(length(min = 1))]
    pub ips: Option<Vec<String>>,
}

/// The plugin.
pub struct Plugin {
    /// What must hold; `None` when only one of the choices must.
    all: Option<Demand>,
    /// One of these must hold, unless there is none.
    any: Vec<Demand>,
    /// The API whose rules must let the caller in.
    api: Option<Api>,
    clock: Arc<dyn Clock>,
}

impl plugin_sdk::Plugin for Plugin {
    const NAME: &'static str = "acl";
    const STAGE: Stage = Stage::Authorize;
    type Config = Config;

    fn build(config: Config, env: &Env) -> Result<Self, BuildError> {
        let Config {
            roles,
            permissions,
            scopes,
            claims,
            owner,
            acr,
            second_factor_within,
            ips,
            acl,
            owner_param,
            any,
        } = config;
        let all = Choice {
            roles,
            permissions,
            scopes,
            claims,
            owner,
            acr,
            second_factor_within,
            ips,
        };
        let all = Demand::compile(all, "")?;
        let api = Api::compile(acl, owner_param)?;
        if any.as_ref().is_some_and(Vec::is_empty) {
            return Err(
                BuildError::new("any", "the list is empty: nobody would get in")
                    .hint("name some demands, or leave the key out"),
            );
        }
        let any = any.unwrap_or_default().into_iter().enumerate();
        let any = any.map(|(index, choice)| {
            let at = format!("any.{index}.");
            Demand::compile(choice, &at)?.ok_or_else(|| nothing(at.trim_end_matches('.')))
        });
        let any: Vec<Demand> = any.collect::<Result<_, _>>()?;
        if all.is_none() && any.is_empty() && api.is_none() {
            return Err(nothing(""));
        }
        Ok(Self {
            all,
            any,
            api,
            clock: Arc::clone(&env.clock),
        })
    }

    fn request(&self, request: &mut Request<'_>) -> Flow {
        let seen = request.seen();
        let now = self.clock.unix();
        let all = self
            .all
            .as_ref()
            .map_or(Verdict::Fits, |all| all.judge(&seen, now));
        let any = self.any.iter().map(|choice| choice.judge(&seen, now));
        let any = any.reduce(Verdict::or).unwrap_or(Verdict::Fits);
        let api = self.api.as_ref();
        let api = api.map_or(Verdict::Fits, |api| api.judge(&seen));
        let verdict = all.and(any).and(api);
        if matches!(verdict, Verdict::Unjudged) {
            request.facts.unjudged = true;
        }
        verdict.flow()
    }
}

fn nothing(at: &str) -> BuildError {
    BuildError::new(at, "nothing is asked of the caller")
        .hint("add `roles: [..]`, `scopes: [..]`, `owner: ..` or another demand")
}

#[cfg(test)]
mod tests;
