//! What tells who may what: an upstream that keeps questions waiting, can go away, and pushes over a
//! real Redis.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use redis::AsyncCommands;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;

use crate::revocation::list::opens;
use crate::stage::Origin;

const CHANNEL: &str = "vorota:authz:origin";

/// The roles and rules, as `users` would number them.
#[derive(Clone)]
pub(super) struct Authz(Arc<Told>);

struct Told {
    state: Mutex<State>,
    version: watch::Sender<u64>,
}

struct State {
    roles: BTreeMap<String, Vec<String>>,
    acl: Value,
    /// What is answered in place of a snapshot.
    says: Option<String>,
    away: bool,
    /// Questions that wait hear of no news.
    deaf: bool,
    asked: usize,
}

impl Authz {
    /// `user` may read users, and everybody their own wallets.
    pub(super) fn new() -> Self {
        let state = State {
            roles: BTreeMap::from([("user".to_owned(), vec!["users.read".to_owned()])]),
            acl: json!({ "wallets": { "rules": [{ "methods": ["GET"], "any": [{ "owner": true }] }] } }),
            says: None,
            away: false,
            deaf: false,
            asked: 0,
        };
        Self(Arc::new(Told {
            state: Mutex::new(state),
            version: watch::Sender::new(1),
        }))
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.0.state.lock().unwrap());
        self.0.version.send_modify(|version| *version += 1);
    }

    /// Says what a role grants from now on.
    pub(super) fn grant(&self, role: &str, permissions: &[&str]) {
        let permissions = permissions.iter().map(ToString::to_string).collect();
        self.change(|state| {
            state.roles.insert(role.to_owned(), permissions);
        });
    }

    /// Says whom an API lets in from now on.
    pub(super) fn rule(&self, acl: Value) {
        self.change(|state| state.acl = acl);
    }

    /// Answers with this from now on.
    pub(super) fn say(&self, text: &str) {
        self.change(|state| state.says = Some(text.to_owned()));
    }

    /// From now on it answers 503, or does again.
    pub(super) fn set_away(&self, away: bool) {
        self.0.state.lock().unwrap().away = away;
    }

    /// From now on questions that wait hear of no news.
    pub(super) fn set_deaf(&self) {
        self.0.state.lock().unwrap().deaf = true;
    }

    /// How often it was asked.
    pub(super) fn asked(&self) -> usize {
        self.0.state.lock().unwrap().asked
    }

    /// Pushes the version; tells how many heard it.
    pub(super) async fn push(&self, redis: &redis::Client) -> usize {
        let message = json!({ "version": *self.0.version.borrow() }).to_string();
        let mut line = redis.get_multiplexed_async_connection().await.unwrap();
        line.publish(CHANNEL, message).await.unwrap()
    }

    /// An upstream that tells this, and for the rest answers `ok`.
    pub(super) async fn origin(&self) -> Origin {
        let authz = self.clone();
        Origin::raw(move |stream| Box::pin(serve(authz.clone(), stream))).await
    }

    async fn answer(&self, query: &str) -> (u16, String) {
        let number = |key: &str| {
            let value = query.split('&').find_map(|pair| pair.strip_prefix(key));
            value.and_then(|value| value.parse::<u64>().ok())
        };
        let (after, wait) = (number("after="), number("wait=").unwrap_or(0));
        let deaf = {
            let mut state = self.0.state.lock().unwrap();
            state.asked += 1;
            if state.away {
                return (503, String::new());
            }
            state.deaf
        };
        if Some(*self.0.version.borrow()) == after {
            let mut version = self.0.version.subscribe();
            let news = async {
                match deaf {
                    true => std::future::pending().await,
                    false => version.wait_for(|now| Some(*now) != after).await.is_ok(),
                }
            };
            if tokio::time::timeout(Duration::from_secs(wait), news)
                .await
                .is_err()
            {
                return (204, String::new());
            }
        }
        let state = self.0.state.lock().unwrap();
        if let Some(text) = &state.says {
            return (200, text.clone());
        }
        let version = *self.0.version.borrow();
        let all = json!({ "version": version, "roles": state.roles, "acl": state.acl });
        (200, all.to_string())
    }
}

async fn serve(authz: Authz, mut stream: TcpStream) {
    let mut read = Vec::new();
    loop {
        let end = loop {
            if let Some(at) = read.windows(4).position(|part| part == b"\r\n\r\n") {
                break at + 4;
            }
            if !matches!(stream.read_buf(&mut read).await, Ok(n) if n > 0) {
                return;
            }
        };
        let head: Vec<u8> = read.drain(..end).collect();
        let head = String::from_utf8_lossy(&head).into_owned();
        let target = head.split(' ').nth(1).unwrap_or_default();
        let (status, body) = match target.strip_prefix("/internal/v1/authz") {
            None => (200, "ok".to_owned()),
            Some(query) => {
                // The gateway alone may ask, and says which part of it does.
                let seal = head.lines().find_map(|line| {
                    line.strip_prefix("x-identity: ")
                        .or(line.strip_prefix("X-Identity: "))
                });
                let statement = opens(seal.unwrap_or_default());
                assert_eq!(
                    (statement.route.as_str(), statement.who, statement.client),
                    ("gateway:rights", None, None)
                );
                authz.answer(query.trim_start_matches('?')).await
            }
        };
        let length = match status {
            204 => String::new(),
            _ => format!("Content-Length: {}\r\n", body.len()),
        };
        let answer = format!("HTTP/1.1 {status} X\r\n{length}\r\n{body}");
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}
