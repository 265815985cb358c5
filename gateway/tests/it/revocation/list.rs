//! What tells revocations: a feed that can go away or forget, and its push over a real Redis.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use redis::AsyncCommands;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::stage::{KEY, Origin};

/// The rows, as `users` would number them.
#[derive(Clone, Default)]
pub(super) struct List(Arc<Mutex<Rows>>);

#[derive(Default)]
struct Rows {
    rows: Vec<Value>,
    /// Numbers up to this one are forgotten.
    swept: usize,
    away: bool,
    asked: usize,
}

impl List {
    /// Revokes a session; gives its number.
    pub(super) fn revoke(&self, session: &str) -> usize {
        self.add("session", session, None)
    }

    /// Revokes what a caller proved before some moment, in Unix seconds.
    pub(super) fn ban(&self, sub: &str, not_before: i64) -> usize {
        self.add("subject", sub, Some(not_before))
    }

    fn add(&self, kind: &str, id: &str, not_before: Option<i64>) -> usize {
        let mut list = self.0.lock().unwrap();
        let cursor = list.rows.len() + 1;
        let row = json!({
            "cursor": cursor, "kind": kind, "id": id, "not_before": not_before,
            "revoked_at_ms": now_ms(), "until": now_ms() / 1_000 + 420,
        });
        list.rows.push(row);
        cursor
    }

    /// From now on it answers 503, or does again.
    pub(super) fn set_away(&self, away: bool) {
        self.0.lock().unwrap().away = away;
    }

    /// Forgets all that there is.
    pub(super) fn sweep(&self) {
        let mut list = self.0.lock().unwrap();
        list.swept = list.rows.len();
    }

    /// As a database does that is restored from long ago.
    pub(super) fn begin_anew(&self) {
        let mut list = self.0.lock().unwrap();
        (list.rows, list.swept) = (Vec::new(), 0);
    }

    /// How often it was asked.
    pub(super) fn asked(&self) -> usize {
        self.0.lock().unwrap().asked
    }

    fn page(&self, after: Option<usize>, limit: usize) -> Value {
        let list = self.0.lock().unwrap();
        let from = after.unwrap_or(0).min(list.rows.len());
        let kept = from.max(list.swept);
        let items: Vec<_> = list.rows[kept..].iter().take(limit).collect();
        let head = list.rows.len();
        let next = if items.len() == limit {
            kept + limit
        } else {
            head
        };
        json!({
            "after": after.unwrap_or(0), "next": next, "head": head,
            "lost": after.is_some_and(|after| after < list.swept),
            "at_ms": now_ms(), "items": items,
        })
    }

    /// Pushes what is behind a number, and nothing but how far it is when that is the end.
    pub(super) async fn push(&self, redis: &redis::Client, after: usize) {
        let message = self.page(Some(after), 200).to_string();
        let mut line = redis.get_multiplexed_async_connection().await.unwrap();
        let _: () = line.publish(CHANNEL, message).await.unwrap();
    }

    /// Says four times a second how far it is, as every replica of `users` does, until dropped.
    pub(super) fn pulse(&self, redis: &redis::Client) -> Pulse {
        let (list, redis) = (self.clone(), redis.clone());
        let task = tokio::spawn(async move {
            loop {
                let head = list.0.lock().unwrap().rows.len();
                let message = list.page(Some(head), 1).to_string();
                let told = async {
                    let mut line = redis.get_multiplexed_async_connection().await?;
                    line.publish::<_, _, ()>(CHANNEL, message).await
                };
                // Redis is away at times: that is what the test is about.
                let _ = tokio::time::timeout(Duration::from_secs(1), told).await;
                tokio::time::sleep(Duration::from_millis(250)).await;
            }
        });
        Pulse(task.abort_handle())
    }

    /// An upstream that has this list, WebSockets that give back what they get, at `/drip` an
    /// answer without end, and for the rest `ok`; at `/slow` not at once.
    pub(super) async fn origin(&self) -> Origin {
        let list = self.clone();
        Origin::raw(move |stream| Box::pin(serve(list.clone(), stream))).await
    }
}

const CHANNEL: &str = "vorota:revocations:origin";

pub(super) struct Pulse(tokio::task::AbortHandle);

impl Drop for Pulse {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn serve(list: List, mut stream: TcpStream) {
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
        let target = head.split(' ').nth(1).unwrap_or_default().to_owned();
        if head.to_lowercase().contains("upgrade: websocket") {
            let agreed = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
            let _ = stream.write_all(agreed.as_bytes()).await;
            let (mut from, mut to) = stream.split();
            let _ = tokio::io::copy(&mut from, &mut to).await;
            return;
        }
        if target == "/drip" {
            let begun = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
            let _ = stream.write_all(begun.as_bytes()).await;
            while stream.write_all(b"3\r\n:\n\n\r\n").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            return;
        }
        if target == "/slow" {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let (status, body) = match target.strip_prefix("/internal/v1/revocations?") {
            None => (200, "ok".to_owned()),
            Some(query) => {
                // The gateway alone may ask, and says which part of it does.
                let seal = head.lines().find_map(|line| {
                    line.strip_prefix("x-identity: ")
                        .or(line.strip_prefix("X-Identity: "))
                });
                let statement = opens(seal.unwrap_or_default());
                assert_eq!(
                    (statement.route.as_str(), statement.who),
                    ("gateway:revocation", None)
                );
                let number = |key: &str| {
                    let value = query.split('&').find_map(|pair| pair.strip_prefix(key));
                    value.and_then(|value| value.parse::<usize>().ok())
                };
                let page = list.page(number("after="), number("limit=").unwrap());
                let mut list = list.0.lock().unwrap();
                list.asked += 1;
                match list.away {
                    true => (503, String::new()),
                    false => (200, page.to_string()),
                }
            }
        };
        let answer = format!(
            "HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// A file that holds the address of a Redis, as a table names it.
pub(crate) struct Address(PathBuf);

impl Address {
    pub(crate) fn of(url: &str) -> Self {
        let name = format!("redis-{}", uuid::Uuid::new_v4().simple());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, url).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Address {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

pub(super) fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    i64::try_from(now.unwrap().as_millis()).unwrap()
}

/// Opens the statement that the feed is asked under.
pub(crate) fn opens(sealed: &str) -> identity::Statement {
    let ring = identity::KeyRing::parse(KEY).unwrap();
    identity::open(&ring, sealed, "origin", now_ms() / 1_000).unwrap()
}
