//! Lets in who holds a role or a scope: all of the keys, any of a key's list.
//!
//! ```yaml
//! acl:
//!   roles: [user, support] # one of these
//!   scopes: ["transfers:write"] # and one of these
//! ```

use http::StatusCode;
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
                return Err(
                    BuildError::new(key, "the list is empty: nobody would get in")
                        .hint(format!("name some {key}, or leave the key out")),
                );
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
            return Flow::Reply(Box::new(Reply::unauthenticated()));
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

#[cfg(test)]
mod tests {
    use plugin_sdk::Principal;
    use plugin_sdk::testing::{self, TestEnv, TestRequest, at_once};
    use serde_json::{Value, json};

    use super::*;

    fn chain(config: Value) -> Result<plugin_sdk::Chain, BuildError> {
        testing::chain::<Plugin>(config, &TestEnv::default().env)
    }

    fn caller(roles: &[&str], scopes: &[&str]) -> Principal {
        let owned = |list: &[&str]| list.iter().map(ToString::to_string).collect();
        Principal {
            sub: "u1".into(),
            roles: owned(roles),
            scopes: owned(scopes),
            ..Principal::default()
        }
    }

    /// The status that a caller of these roles and scopes gets; 200 when let in.
    fn check(config: &Value, roles: &[&str], scopes: &[&str]) -> u16 {
        let chain = chain(config.clone()).expect("builds");
        let mut request = TestRequest::new("GET", "/").who(caller(roles, scopes));
        at_once(request.run(&chain)).map_or(200, |reply| reply.status.as_u16())
    }

    #[test]
    fn any_of_a_list_and_all_of_the_keys() {
        let roles = json!({ "roles": ["user", "support"] });
        let both = json!({ "roles": ["user"], "scopes": ["a", "b"] });
        for (config, held_roles, held_scopes, status) in [
            (&roles, &["support"][..], &[][..], 200),
            (&roles, &["admin", "user"], &[], 200),
            (&roles, &["admin"], &["user"], 403),
            (&roles, &["User"], &[], 403),
            (&roles, &[], &[], 403),
            (&both, &["user"], &["b"], 200),
            (&both, &["user"], &[], 403),
            (&both, &[], &["a", "b"], 403),
        ] {
            assert_eq!(
                check(config, held_roles, held_scopes),
                status,
                "{held_roles:?} {held_scopes:?}"
            );
        }
    }

    #[test]
    fn an_unknown_caller_is_asked_who_they_are() {
        let chain = chain(json!({ "roles": ["user"] })).expect("builds");
        let reply = at_once(TestRequest::new("GET", "/").run(&chain)).expect("a refusal");
        assert_eq!(reply.status, StatusCode::UNAUTHORIZED);
        assert_eq!(reply.code(), "unauthenticated");
        assert_eq!(reply.headers["www-authenticate"], "Bearer");
    }

    #[test]
    fn a_refusal_does_not_say_what_would_have_sufficed() {
        let chain = chain(json!({ "roles": ["treasurer"] })).expect("builds");
        let mut request = TestRequest::new("GET", "/").who(caller(&[], &[]));
        let reply = at_once(request.run(&chain)).expect("a refusal");
        let (headers, body) = reply.render("r1");
        let said = format!("{headers:?} {body:?}");
        assert!(!said.contains("treasurer"), "{said}");
    }

    #[test]
    fn an_empty_list_is_no_list() {
        for (config, at) in [
            (json!({ "roles": [] }), &["roles"][..]),
            (json!({ "roles": ["user"], "scopes": [] }), &["scopes"]),
            (json!({}), &[]),
        ] {
            let error = chain(config).err().expect("a refusal");
            assert_eq!(error.at, at);
            assert!(error.hint.is_some());
        }
    }
}
