//! The file as it is written.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::pick::Name;
use crate::Secret;
use serde::de::{Error, IgnoredAny};
use serde::{Deserialize, Deserializer};

/// Which keys there are. What they hold is read key by key, so that one run tells all mistakes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "says which keys may and must be there")]
pub(super) struct Outline {
    private_bind: IgnoredAny,
    identity_keys: IgnoredAny,
    cursor_key: IgnoredAny,
    redis: Option<IgnoredAny>,
    pool: Option<IgnoredAny>,
    apps: Names,
}

/// The names under `apps`, with their places.
pub(super) type Names = BTreeMap<Name, IgnoredAny>;

/// What is said of one app.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct App<C> {
    pub(super) bind: Bind,
    pub(super) database: Database,
    pub(super) settings: C,
}

/// How each database's pool is bounded.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Pool {
    max_connections: Option<Connections>,
    acquire_timeout: Option<Period>,
    statement_timeout: Option<Period>,
    lock_timeout: Option<Period>,
    pgbouncer: bool,
}

impl Pool {
    pub(super) fn settings(&self) -> pg::Settings {
        let default = pg::Settings::default();
        let or = |period: &Option<Period>, default| period.as_ref().map_or(default, |p| p.0);
        pg::Settings {
            max_connections: self
                .max_connections
                .as_ref()
                .map_or(default.max_connections, |n| n.0),
            acquire_timeout: or(&self.acquire_timeout, default.acquire_timeout),
            statement_timeout: or(&self.statement_timeout, default.statement_timeout),
            lock_timeout: or(&self.lock_timeout, default.lock_timeout),
            pgbouncer: self.pgbouncer,
        }
    }
}

struct Connections(u32);

impl<'de> Deserialize<'de> for Connections {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = u32::deserialize(deserializer)?;
        // With fewer, the relays' rounds could take all of them and wait for one another.
        if (8..=1_000).contains(&number) {
            Ok(Self(number))
        } else {
            Err(D::Error::custom(
                "max_connections is out of range; expected 8 to 1000",
            ))
        }
    }
}

pub(super) struct Bind(pub(super) SocketAddr);

impl<'de> Deserialize<'de> for Bind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map(Self).map_err(|_| {
            D::Error::custom(format!(
                "`{text}` is no address; expected IP:PORT such as \"127.0.0.1:9081\""
            ))
        })
    }
}

pub(super) struct Database(pub(super) pg::Url);

impl<'de> Deserialize<'de> for Database {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let secret = Secret::deserialize(deserializer)?;
        pg::Url::parse(secret.reveal())
            .map(Self)
            .map_err(D::Error::custom)
    }
}

pub(super) struct Keys(pub(super) Arc<identity::KeyRing>);

impl<'de> Deserialize<'de> for Keys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let secret = Secret::deserialize(deserializer)?;
        identity::KeyRing::parse(secret.reveal())
            .map(|ring| Self(Arc::new(ring)))
            .map_err(|error| D::Error::custom(format!("the identity keys are not good: {error}")))
    }
}

pub(super) struct Redis(pub(super) redis::Client);

impl<'de> Deserialize<'de> for Redis {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let secret = Secret::deserialize(deserializer)?;
        // Its own words could show the password.
        redis::Client::open(secret.reveal().trim())
            .map(Self)
            .map_err(|_| {
                D::Error::custom("not an address of Redis; expected redis://:password@host:port")
            })
    }
}

/// A length of time with its unit: `250ms`, `2s`, `5m`.
struct Period(Duration);

impl<'de> Deserialize<'de> for Period {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        period(&text).map(Self).ok_or_else(|| {
            D::Error::custom(format!(
                "`{text}` is no length of time; expected a whole number and ms, s or m, such as 2s"
            ))
        })
    }
}

fn period(text: &str) -> Option<Duration> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let number: u64 = text[..digits].parse().ok()?;
    let millis = match &text[digits..] {
        "ms" => number,
        "s" => number.checked_mul(1_000)?,
        "m" => number.checked_mul(60_000)?,
        _ => return None,
    };
    (1..=3_600_000)
        .contains(&millis)
        .then(|| Duration::from_millis(millis))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_of_time_needs_its_unit() {
        for (text, millis) in [
            ("250ms", Some(250)),
            ("2s", Some(2_000)),
            ("5m", Some(300_000)),
            ("0s", None),
            ("2", None),
            ("s", None),
            ("-1s", None),
            ("2 s", None),
            ("99999999999999999999s", None),
            ("18446744073709551615m", None),
        ] {
            assert_eq!(period(text), millis.map(Duration::from_millis), "{text}");
        }
    }
}
