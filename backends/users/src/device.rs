//! Devices that somebody has signed in from. A device shows its token where it signs in
//! (`x-device-token`). The token opens nothing: it keeps its owner out of the limits that strangers
//! fill (`throttle.rs`), and tells a new device, which is worth a notice, from a known one.

mod store;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};
use sqlx::PgConnection;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

pub(crate) use store::{known, sweep};

use crate::client::Client;

/// A device that nobody has signed in from for so long is forgotten.
pub(crate) const FORGOTTEN_AFTER: Duration = Duration::days(400);

/// Where a sign-in comes from.
pub(crate) struct Seen {
    pub(crate) id: Uuid,
    /// The token of a device that was not known before; a known one has its own.
    pub(crate) token: Option<String>,
    /// Whether its owner should hear of it: it is new, and not their first.
    pub(crate) is_news: bool,
}

/// Notes a sign-in from a device, and makes it known if it was not.
pub(crate) async fn see(
    tx: &mut PgConnection,
    account_id: Uuid,
    client: &Client,
    now: OffsetDateTime,
) -> Result<Seen, SeeError> {
    if let Some(id) = store::known(&mut *tx, account_id, client).await? {
        store::touch(tx, id, client, now).await?;
        return Ok(Seen {
            id,
            token: None,
            is_news: false,
        });
    }
    let mut bits = [0; 32];
    getrandom::fill(&mut bits)?;
    let token = format!("dt_{}", BASE64_URL_SAFE_NO_PAD.encode(bits));
    let id = Uuid::now_v7();
    let is_news = store::has_any(tx, account_id).await?;
    store::add(
        tx,
        id,
        account_id,
        &Sha256::digest(&token).into(),
        client,
        now,
    )
    .await?;
    Ok(Seen {
        id,
        token: Some(token),
        is_news,
    })
}

/// Why a device is not made known.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SeeError {
    #[error("drawing a device token")]
    Randomness(#[from] getrandom::Error),
    #[error("keeping a device")]
    Store(#[from] sqlx::Error),
}
