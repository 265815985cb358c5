//! The fast way: that there is news, as Redis brings it.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use serde::Deserialize;
use tokio::sync::watch;

use crate::revocation::subscribe;

/// Between two attempts at a connection.
const PAUSE: Duration = Duration::from_millis(250);

#[derive(Deserialize)]
struct News {
    version: u64,
}

/// Listens for ever and tells the version that was last pushed. An outage is said once.
pub(super) async fn listen(upstream: Arc<str>, redis: Arc<str>, tell: watch::Sender<u64>) {
    let channel = format!("vorota:authz:{upstream}");
    let mut away = false;
    loop {
        let why = match subscribe(&redis, &channel).await {
            Ok(mut line) => {
                if away {
                    tracing::info!(%upstream, "changes of who may what are pushed again");
                }
                away = false;
                // Dropping the messages closes the line. One that is dead and does not say so takes
                // nothing away but speed: the question that waits brings the same.
                let mut messages = line.on_message();
                while let Some(message) = messages.next().await {
                    if let Ok(news) = serde_json::from_slice::<News>(message.get_payload_bytes()) {
                        tell.send_replace(news.version);
                    }
                }
                "the line is closed".to_owned()
            }
            Err(why) => why,
        };
        if !away {
            tracing::warn!(%upstream, why, "changes of who may what are not pushed: they are waited for");
        }
        away = true;
        tokio::time::sleep(PAUSE).await;
    }
}
