use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use http::Method;
use identity::Principal;
use serde::Deserialize;
use serde_json::Value;

/// What is known of who may what, at one moment of a request.
#[derive(Debug, Clone, Default)]
pub enum Rights {
    /// Nothing, and that is nobody's fault who asks. Where nobody has said more, this holds.
    #[default]
    Unknown,
    /// All of it.
    Known(Arc<Snapshot>),
    /// The request is only thought of: nobody has a snapshot to look into. Perhaps it is said which
    /// permissions the caller's roles grant.
    Supposed(Option<Arc<[String]>>),
}

/// Who may what, as of one version: the permissions that roles grant, and the rules of APIs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Another one with each change.
    pub version: u64,
    /// How many rules could not be read. They let nobody in.
    pub unread: usize,
    roles: HashMap<String, HashSet<String>>,
    apis: HashMap<String, Vec<Rule>>,
}

/// Whom an API lets in with some methods.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    methods: Vec<String>,
    any: Vec<Whom>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Whom {
    Role(String),
    Permission(String),
    Owner(bool),
}

#[derive(Deserialize)]
struct Written {
    version: u64,
    roles: HashMap<String, HashSet<String>>,
    acl: HashMap<String, Api>,
}

#[derive(Deserialize)]
struct Api {
    rules: Vec<Value>,
}

impl Snapshot {
    /// Reads one as its upstream tells it.
    ///
    /// A rule that is not understood is left out, since rules only let in: a condition of tomorrow
    /// must neither be overlooked nor close every other door.
    pub fn read(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        let Written {
            version,
            roles,
            acl,
        } = serde_json::from_slice(bytes)?;
        let mut unread = 0;
        let mut apis = HashMap::with_capacity(acl.len());
        for (name, Api { rules }) in acl {
            let written = rules.len();
            let rules = rules.into_iter().map(serde_json::from_value::<Rule>);
            let rules: Vec<Rule> = rules.filter_map(Result::ok).collect();
            unread += written - rules.len();
            apis.insert(name, rules);
        }
        Ok(Self {
            version,
            unread,
            roles,
            apis,
        })
    }

    /// Whether one of the roles grants one of the permissions.
    pub fn grants(&self, roles: &[String], permissions: &[String]) -> bool {
        let mut held = roles.iter().filter_map(|role| self.roles.get(role));
        held.any(|held| permissions.iter().any(|name| held.contains(name)))
    }

    /// Whether an API lets a caller in with a method; `owns` says whether what is asked for is the
    /// caller's own. An API without rules lets nobody in. As in the route table, `GET` takes `HEAD`.
    pub fn admits(&self, api: &str, method: &Method, who: &Principal, owns: bool) -> bool {
        let takes = |rule: &&Rule| {
            rule.methods.iter().any(|taken| {
                taken == method.as_str() || (*method == Method::HEAD && taken == "GET")
            })
        };
        let fits = |whom: &Whom| match whom {
            Whom::Role(role) => who.roles.contains(role),
            Whom::Permission(name) => self.grants(&who.roles, std::slice::from_ref(name)),
            Whom::Owner(wanted) => *wanted && owns,
        };
        let rules = self.apis.get(api).into_iter().flatten();
        rules.filter(takes).any(|rule| rule.any.iter().any(fits))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn snapshot(acl: &Value) -> Snapshot {
        let text = json!({
            "version": 42,
            "roles": { "support": ["users.read"], "admin": ["users.read", "users.edit"], "user": [] },
            "acl": acl,
            "made_at": "tomorrow's key",
        });
        Snapshot::read(text.to_string().as_bytes()).expect("a snapshot")
    }

    fn who(roles: &[&str]) -> Principal {
        Principal {
            sub: "u1".into(),
            roles: roles.iter().map(ToString::to_string).collect(),
            ..Principal::default()
        }
    }

    #[test]
    fn roles_grant_what_they_are_said_to_and_an_unknown_one_nothing() {
        let snapshot = snapshot(&json!({}));
        let grants = |roles: &[&str], names: &[&str]| {
            let names: Vec<String> = names.iter().map(ToString::to_string).collect();
            snapshot.grants(&who(roles).roles, &names)
        };
        assert!(grants(&["support"], &["users.read"]));
        assert!(grants(&["user", "admin"], &["audit.read", "users.edit"]));
        assert!(!grants(&["support"], &["users.edit"]));
        assert!(!grants(&["user"], &["users.read"]));
        assert!(!grants(&["root"], &["users.read"]));
        assert!(!grants(&[], &["users.read"]));
        assert!(!grants(&["admin"], &[]));
    }

    #[test]
    fn an_api_lets_in_whom_one_of_its_rules_names_and_nobody_else() {
        let snapshot = snapshot(&json!({
            "wallets": { "rules": [
                { "methods": ["GET"], "any": [{ "owner": true }, { "permission": "users.edit" }] },
                { "methods": ["GET", "POST"], "any": [{ "role": "support" }] },
                { "methods": ["DELETE"], "any": [] },
                { "methods": ["PUT"], "any": [{ "owner": false }] },
            ]},
            "empty": { "rules": [] },
        }));
        for (api, method, roles, owns, admitted) in [
            ("wallets", Method::GET, &["user"][..], true, true),
            ("wallets", Method::HEAD, &["user"], true, true),
            ("wallets", Method::GET, &["user"], false, false),
            ("wallets", Method::GET, &["admin"], false, true),
            ("wallets", Method::GET, &["support"], false, true),
            ("wallets", Method::POST, &["support"], false, true),
            ("wallets", Method::POST, &["user"], true, false),
            ("wallets", Method::DELETE, &["support"], true, false),
            ("wallets", Method::PUT, &["support"], false, false),
            ("wallets", Method::PATCH, &["admin"], true, false),
            ("empty", Method::GET, &["admin"], true, false),
            ("other", Method::GET, &["admin"], true, false),
        ] {
            let found = snapshot.admits(api, &method, &who(roles), owns);
            assert_eq!(found, admitted, "{api} {method} {roles:?} {owns}");
        }
    }

    #[test]
    fn a_rule_that_is_not_understood_lets_nobody_in_and_spoils_no_other() {
        let snapshot = snapshot(&json!({ "wallets": { "rules": [
            { "methods": ["GET"], "any": [{ "role": "admin" }], "from": "10.0.0.0/8" },
            { "methods": ["GET"], "any": [{ "planet": "mars" }] },
            { "methods": ["GET"], "any": [{ "role": "admin", "permission": "x" }] },
            { "methods": ["GET"], "any": [{ "role": "support" }] },
        ]}}));
        assert_eq!((snapshot.version, snapshot.unread), (42, 3));
        assert!(!snapshot.admits("wallets", &Method::GET, &who(&["admin"]), true));
        assert!(snapshot.admits("wallets", &Method::GET, &who(&["support"]), false));
    }

    #[test]
    fn half_a_snapshot_is_none() {
        for text in [
            "",
            "{}",
            "null",
            r#"{"version": 1, "roles": {}}"#,
            r#"{"version": 1, "acl": {}}"#,
            r#"{"version": -1, "roles": {}, "acl": {}}"#,
            r#"{"version": 1, "roles": {"a": "b"}, "acl": {}}"#,
            r#"{"version": 1, "roles": {}, "acl": {"a": []}"#,
        ] {
            assert!(Snapshot::read(text.as_bytes()).is_err(), "{text}");
        }
    }
}
