use plugin_sdk::Principal;
use serde_json::Value;

use super::token::Fault;

/// What a token's claims must say (RFC 9068 §4).
#[derive(Debug)]
pub(super) struct Policy {
    pub(super) issuer: String,
    pub(super) audience: String,
    pub(super) leeway_s: i64,
}

impl Policy {
    /// Who the token is about, and until when that holds, in Unix seconds.
    pub(super) fn judge(&self, claims: &Value, now: i64) -> Result<(Principal, i64), Fault> {
        if claims["iss"].as_str() != Some(&self.issuer) {
            return Err(Fault::Claim("iss"));
        }
        let meant_for_us = |aud: &Value| aud.as_str() == Some(&self.audience);
        let aud = &claims["aud"];
        if !meant_for_us(aud)
            && !aud
                .as_array()
                .is_some_and(|all| all.iter().any(meant_for_us))
        {
            return Err(Fault::Claim("aud"));
        }
        let exp = claims["exp"].as_i64().ok_or(Fault::Claim("exp"))?;
        let until = exp.saturating_add(self.leeway_s);
        if now >= until {
            return Err(Fault::Expired);
        }
        for name in ["nbf", "iat"] {
            let at = integer(claims, name)?;
            if at.is_some_and(|at| at > now.saturating_add(self.leeway_s)) {
                return Err(Fault::Early);
            }
        }
        let sub = text(claims, "sub")?.filter(|sub| !sub.is_empty());
        let who = Principal {
            sub: sub.ok_or(Fault::Claim("sub"))?,
            roles: words(claims, "roles")?,
            scopes: words(claims, "scope")?,
            sid: text(claims, "sid")?,
            acr: text(claims, "acr")?,
            auth_time: integer(claims, "auth_time")?,
        };
        Ok((who, until))
    }
}

fn integer(claims: &Value, name: &'static str) -> Result<Option<i64>, Fault> {
    match &claims[name] {
        Value::Null => Ok(None),
        value => value.as_i64().map(Some).ok_or(Fault::Claim(name)),
    }
}

fn text(claims: &Value, name: &'static str) -> Result<Option<String>, Fault> {
    match &claims[name] {
        Value::Null => Ok(None),
        value => Ok(Some(printable(value, name)?.to_owned())),
    }
}

/// A list of strings, or one string of words as OAuth writes scopes.
fn words(claims: &Value, name: &'static str) -> Result<Vec<String>, Fault> {
    match &claims[name] {
        Value::Null => Ok(Vec::new()),
        Value::Array(items) => items
            .iter()
            .map(|item| Ok(printable(item, name)?.to_owned()))
            .collect(),
        value => {
            let words = printable(value, name)?.split(' ');
            Ok(words
                .filter(|word| !word.is_empty())
                .map(String::from)
                .collect())
        }
    }
}

/// Text that may be copied into a header and a log line.
fn printable<'a>(value: &'a Value, name: &'static str) -> Result<&'a str, Fault> {
    value
        .as_str()
        .filter(|text| !text.chars().any(char::is_control))
        .ok_or(Fault::Claim(name))
}
