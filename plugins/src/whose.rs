//! Whose calls are counted together: the key that a limit counts a call under.

use std::borrow::Cow;
use std::net::IpAddr;
use std::str::FromStr;

use http::HeaderName;
use plugin_sdk::{Form, Seen, Stage};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use sha2::{Digest, Sha256};

/// No more parts make one key.
const PARTS: usize = 4;
/// A longer part of a key is hashed: what is remembered of each key is bounded.
const PART: usize = 48;
/// Of a header only so much is looked at, and its length.
const HEADER: usize = 1_024;

/// Whose calls are counted together: one thing or, as a list, every combination of them.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Written")]
pub struct Per(Vec<Whose>);

/// A part of what calls are counted under.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Whose {
    /// The client's address; of an IPv6 address the first 64 bits.
    Ip,
    /// The caller's subject.
    User,
    /// The key that was proven with.
    Key,
    /// The route.
    Route,
    /// What the client says under this name.
    Header(HeaderName),
}

/// A key: its parts, each with its kind and its length before it.
pub(crate) struct Key {
    bytes: [u8; PARTS * (PART + 2)],
    length: usize,
}

impl Per {
    /// The key of a call; `None` when nobody is known and it should be a caller's.
    pub(crate) fn key(&self, seen: &Seen<'_>) -> Option<Key> {
        let mut key = Key {
            bytes: [0; PARTS * (PART + 2)],
            length: 0,
        };
        for whose in &self.0 {
            match whose {
                Whose::Ip => key.push(b'i', &network(seen.head.client)),
                Whose::User => key.push(b'u', seen.facts.principal.as_ref()?.sub.as_bytes()),
                Whose::Key => match proven_key(seen) {
                    Some(id) => key.push(b'k', id.as_bytes()),
                    // Who came without a key is counted as who they are.
                    None => key.push(b'u', seen.facts.principal.as_ref()?.sub.as_bytes()),
                },
                Whose::Route => key.push(b'r', seen.facts.route.as_bytes()),
                Whose::Header(name) => key.push(b'h', &said(seen, name)),
            }
        }
        Some(key)
    }

    /// Where a limit stands that counts so: what needs nobody known is counted before anybody is
    /// asked who they are, so that a flood of bad tokens costs nothing.
    pub(crate) fn stage(&self) -> Stage {
        if self
            .0
            .iter()
            .any(|whose| matches!(whose, Whose::User | Whose::Key))
        {
            Stage::Limit
        } else {
            Stage::Edge
        }
    }

    /// Whether the client's address is a part of it.
    pub(crate) fn has_ip(&self) -> bool {
        self.0.contains(&Whose::Ip)
    }
}

/// The key that was proven with. A token's or a session's id is none: whoever signs in again has
/// a new one.
fn proven_key<'a>(seen: &Seen<'a>) -> Option<&'a str> {
    let proof = seen.facts.proof.as_ref()?;
    match proof.form {
        Form::Key | Form::Certificate | Form::Signature => proof.key.as_deref(),
        Form::Bearer | Form::Session => None,
    }
}

/// One customer has at least a /64, and could come from each of its addresses.
fn network(client: IpAddr) -> [u8; 16] {
    match client.to_canonical() {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => {
            let mut octets = address.octets();
            octets[8..].fill(0);
            octets
        }
    }
}

/// A header's values, hashed: they may be secrets, and keys can be read in Redis.
fn said(seen: &Seen<'_>, name: &HeaderName) -> [u8; 16] {
    let mut hash = Sha256::new();
    for value in seen.head.headers.get_all(name) {
        let value = value.as_bytes();
        hash.update(value.len().to_be_bytes());
        hash.update(&value[..value.len().min(HEADER)]);
    }
    let mut short = [0; 16];
    short.copy_from_slice(&hash.finalize()[..16]);
    short
}

impl Key {
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    fn push(&mut self, kind: u8, part: &[u8]) {
        if part.len() > PART {
            // In upper case, so that nobody can spell another's hash.
            return self.push(kind.to_ascii_uppercase(), &Sha256::digest(part));
        }
        let end = self.length + 2 + part.len();
        // A list is no longer than `PARTS`, see `Per::try_from`.
        if let Some(room) = self.bytes.get_mut(self.length..end) {
            room[0] = kind;
            room[1] = u8::try_from(part.len()).unwrap_or(u8::MAX);
            room[2..].copy_from_slice(part);
            self.length = end;
        }
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    One(String),
    Many(Vec<String>),
    Other(serde::de::IgnoredAny),
}

const EXPECTED: &str = "expected `ip`, `user`, `key`, `route`, `header:NAME` or a list of these";

impl TryFrom<Written> for Per {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let names = match written {
            Written::One(name) => vec![name],
            Written::Many(names) => names,
            Written::Other(_) => return Err(EXPECTED.into()),
        };
        if names.is_empty() || names.len() > PARTS {
            return Err(format!("of these there are one to {PARTS}"));
        }
        let mut parts: Vec<Whose> = Vec::new();
        for name in &names {
            let part = name.parse()?;
            if parts.contains(&part) {
                return Err(format!("`{name}` stands there twice"));
            }
            parts.push(part);
        }
        Ok(Self(parts))
    }
}

impl FromStr for Whose {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Ok(match name {
            "ip" => Self::Ip,
            "user" => Self::User,
            "key" => Self::Key,
            "route" => Self::Route,
            other => {
                let header = other.strip_prefix("header:");
                let header = header.ok_or_else(|| format!("`{other}` is nobody: {EXPECTED}"))?;
                Self::Header(
                    header
                        .parse()
                        .map_err(|_| format!("`{header}` can't be the name of a header"))?,
                )
            }
        })
    }
}

impl JsonSchema for Per {
    fn schema_name() -> Cow<'static, str> {
        "Per".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let one = serde_json::json!({
            "type": "string",
            "pattern": "^(ip|user|key|route|header:[!#$%&'*+.^_`|~0-9A-Za-z-]+)$",
        });
        json_schema!({
            "description": "`ip` (IPv6 by /64), `user`, `key`, `route`, `header:NAME`, or a list: each combination is counted apart.",
            "anyOf": [
                one,
                { "type": "array", "items": one, "minItems": 1, "maxItems": PARTS, "uniqueItems": true },
            ],
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use plugin_sdk::testing::{self, TestRequest};
    use plugin_sdk::{Principal, Proof};
    use serde_json::json;

    use super::*;

    fn per(written: serde_json::Value) -> Result<Per, String> {
        serde_json::from_value(written).map_err(|error| error.to_string())
    }

    fn key(written: serde_json::Value, request: &TestRequest) -> Option<Vec<u8>> {
        let per = per(written).expect("good");
        Some(per.key(&request.seen())?.bytes().to_vec())
    }

    fn who(sub: &str) -> Principal {
        Principal {
            sub: sub.into(),
            ..Principal::default()
        }
    }

    fn proof(form: Form, id: &str) -> Proof {
        Proof {
            form,
            key: Some(id.into()),
            ..testing::proof()
        }
    }

    fn request() -> TestRequest {
        TestRequest::new("GET", "/v1/rates")
    }

    #[test]
    fn each_combination_is_a_key_of_its_own() {
        let tenant = |name| request().header("x-tenant", name);
        let written = || json!(["ip", "header:x-tenant"]);
        let one = key(written(), &tenant("a"));
        assert_eq!(one, key(written(), &tenant("a")));
        assert_ne!(one, key(written(), &tenant("b")));
        assert_ne!(one, key(written(), &tenant("a").from("192.0.2.9")));
        assert_ne!(one, key(written(), &request()), "none is not another's");
        assert_ne!(one, key(written(), &tenant("a").header("x-tenant", "a")));
        // Parts do not run into one another.
        let mut two = request().who(who("ab"));
        two.facts.route = "c".into();
        let mut other = request().who(who("a"));
        other.facts.route = "bc".into();
        assert_ne!(
            key(json!(["user", "route"]), &two),
            key(json!(["user", "route"]), &other)
        );
    }

    #[test]
    fn a_key_is_what_was_proven_with_and_no_token() {
        let known = |form, id| request().who(who("u1")).proof(proof(form, id));
        let of = |request: &TestRequest| key(json!("key"), request);
        let one = of(&known(Form::Key, "k1"));
        assert_ne!(one, of(&known(Form::Key, "k2")));
        assert_eq!(
            one,
            of(&request().who(who("u2")).proof(proof(Form::Key, "k1")))
        );
        // Whoever signs in again has a new session, and is the same caller.
        assert_eq!(
            of(&known(Form::Bearer, "s1")),
            of(&known(Form::Bearer, "s2"))
        );
        assert_eq!(
            of(&known(Form::Session, "s1")),
            key(json!("user"), &known(Form::Bearer, "s"))
        );
        assert_ne!(one, of(&known(Form::Bearer, "k1")));
        assert_eq!(of(&request()), None);
    }

    /// Security case 32: what is remembered of a caller does not grow with what they send.
    #[test]
    fn gateway_32_a_key_is_short_whatever_is_sent() {
        let long = "x".repeat(30_000);
        let request = |last: &str| {
            let mut request = request()
                .who(who(&format!("{long}{last}")))
                .header("x-tenant", &format!("{long}{last}"));
            request.facts.route = Arc::from("r".repeat(64));
            request
        };
        let written = || json!(["ip", "user", "route", "header:x-tenant"]);
        let one = key(written(), &request("1")).expect("a key");
        assert!(one.len() <= PARTS * (PART + 2), "{}", one.len());
        assert_ne!(Some(one), key(written(), &request("2")));
    }

    #[test]
    fn what_is_nobody_is_refused() {
        for written in [
            json!("host"),
            json!("header:"),
            json!("header:a b"),
            json!([]),
            json!(["ip", "ip"]),
            json!(["header:X-A", "header:x-a"]),
            json!(["ip", "user", "key", "route", "header:x-a"]),
            json!(5),
        ] {
            assert!(per(written.clone()).is_err(), "{written}");
        }
    }
}
