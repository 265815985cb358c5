//! Lets in who holds a role or a scope: all of the keys, any of a key's list.
//!
//! ```yaml
//! acl:
//!   roles: [user, support] # one of these
//!   scopes: ["transfers:write"] # and one of these
//! ```

use http::{HeaderValue, StatusCode, header};
use plugin_sdk::{BuildError, Env, Flow, Reply, Request, Stage};
use schemars::JsonSchema;
use serde::Deserialize;

/// Whom to let in.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Roles of which the caller must hold one.
    #[serde(default)]
    #[schemars(length(min = 1))]
    pub roles: Option<Vec<String>>,
    /// Scopes of which the caller must hold one.
    #[serde(default)]
    #[schemars(length(min = 1))]
    pub scopes: Option<Vec<String>>,
}

/// The plugin. A list that is not asked for is `None`: an empty one would let nobody in, or
/// everybody, depending on who reads it.
pub struct Plugin {
    roles: Option<Vec<String>>,
    scopes: Option<Vec<String>>,
}

impl plugin_sdk::Plugin for Plugin {
    const NAME: &'static str = "acl";
    const STAGE: Stage = Stage::Authorize;
    type Config = Config;

    fn build(config: Config, _env: &Env) -> Result<Self, BuildError> {
        for (key, list) in [("roles", &config.roles), ("scopes", &config.scopes)] {
            if list.as_ref().is_some_and(Vec::is_empty) {
                return Err(BuildError::new(key, "the list is empty: nobody would get in")
                    .hint(format!("name some {key}, or leave the key out")));
            }
        }
        if config.roles.is_none() && config.scopes.is_none() {
            return Err(BuildError::new("", "nothing is asked of the caller")
                .hint("add `roles: [..]` or `scopes: [..]`"));
        }
        Ok(Self {
            roles: config.roles,
            scopes: config.scopes,
        })
    }

    fn request(&self, request: &mut Request<'_>) -> Flow {
        let Some(who) = &request.facts.principal else {
            let reply = Reply::problem(
                StatusCode::UNAUTHORIZED,
                "unauthenticated",
                "Who is calling is not known",
            );
            let scheme = HeaderValue::from_static("Bearer");
            return Flow::Reply(Box::new(reply.header(header::WWW_AUTHENTICATE, scheme)));
        };
        if holds_one(&self.roles, &who.roles) && holds_one(&self.scopes, &who.scopes) {
            return Flow::Continue;
        }
        // Does not say what would have sufficed: that is the route table's to know.
        Flow::Reply(Box::new(Reply::problem(
            StatusCode::FORBIDDEN,
            "forbidden",
            "The caller may not do this",
        )))
    }
}

fn holds_one(asked: &Option<Vec<String>>, held: &[String]) -> bool {
    match asked {
        None => true,
        Some(asked) => asked.iter().any(|name| held.contains(name)),
    }
}
