//! The fast way: what is revoked, as Redis brings it.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::page::{self, Page};

/// For a connection and a subscription.
const CONNECT: Duration = Duration::from_secs(2);
/// The upstream pushes something at least this often, several times over. A line that is silent for
/// longer is made anew: it may be dead.
const SILENT: Duration = Duration::from_secs(3);
/// Between two attempts at a connection.
const PAUSE: Duration = Duration::from_millis(250);

/// What the fast way brings.
#[derive(Debug)]
pub(super) enum Heard {
    /// It is open from now on; what was pushed before is missing.
    Open,
    /// A page.
    Page(Page),
    /// Something that is no page.
    Noise,
}

/// Listens for ever and tells what it hears. An outage is said once.
pub(super) async fn listen(feed: Arc<str>, redis: Arc<str>, tell: mpsc::Sender<Heard>) {
    let channel = format!("vorota:revocations:{feed}");
    let mut away = false;
    loop {
        let why = match subscribe(&redis, &channel).await {
            Ok(mut line) => {
                if away {
                    tracing::info!(%feed, "revocations are pushed again");
                }
                away = false;
                if tell.send(Heard::Open).await.is_err() {
                    return;
                }
                // Dropping the messages closes the line.
                let mut messages = line.on_message();
                while let Ok(Some(message)) = timeout(SILENT, messages.next()).await {
                    let page = page::read(message.get_payload_bytes());
                    let heard = page.map_or(Heard::Noise, Heard::Page);
                    if tell.send(heard).await.is_err() {
                        return;
                    }
                }
                "nothing comes".to_owned()
            }
            Err(why) => why,
        };
        if !away {
            tracing::warn!(%feed, why, "revocations are not pushed: the feed is asked instead");
        }
        away = true;
        tokio::time::sleep(PAUSE).await;
    }
}

/// Opens a line on which a channel of Redis is heard.
pub(crate) async fn subscribe(redis: &str, channel: &str) -> Result<redis::aio::PubSub, String> {
    let subscribed = async {
        let client = redis::Client::open(redis)?;
        let mut line = client.get_async_pubsub().await?;
        line.subscribe(channel).await?;
        Ok::<_, redis::RedisError>(line)
    };
    match timeout(CONNECT, subscribed).await {
        Ok(line) => line.map_err(|error| error.to_string()),
        Err(_) => Err("no answer from Redis".to_owned()),
    }
}
