//! Gives permissions back to the provider when a link, or the whole account, is gone. Apple asks for
//! it of everybody who lets accounts be erased. The database puts them down itself
//! (`migrations/0025_identity.sql`); here they are brought away, and again later if Apple is away.

use std::sync::Arc;

use host::Job;
use time::Duration;

use super::{SocialError, http::Away, store, within};
use crate::App;

const EVERY: std::time::Duration = std::time::Duration::from_secs(5 * 60);
/// Between two tries.
const APART: Duration = Duration::minutes(30);
/// Permissions per run: a run is over before the next begins.
const BATCH: i64 = 20;

/// Brings them away, every few minutes.
pub(crate) fn job(app: Arc<App>) -> Job {
    Job {
        name: "identity_farewell",
        every: EVERY,
        limit: EVERY,
        run: Arc::new(move || {
            let app = app.clone();
            Box::pin(async move { Ok(bid(&app).await?) })
        }),
    }
}

/// Brings them away now.
pub(super) async fn bid_and_log(app: Arc<App>) {
    if let Err(error) = bid(&app).await {
        tracing::warn!(%error, "permissions were not given back yet");
    }
}

/// Brings away what is due.
async fn bid(app: &App) -> Result<(), SocialError> {
    let now = app.clock.now();
    for farewell in store::due_farewells(&app.pool, now, now + APART, BATCH).await? {
        let token = app
            .social
            .seal
            .open(farewell.client_id.as_bytes(), &farewell.refresh_token)
            .and_then(|token| String::from_utf8(token).ok());
        let done = match (app.social.provider(&farewell.provider), token) {
            (Ok(provider), Some(token)) => {
                within(provider.revoke(&token, &farewell.client_id, now)).await
            }
            // Sealed under a key that is gone, or of a provider that is no longer offered.
            _ => Err(Away("it can't be asked any longer".to_owned())),
        };
        match done {
            Ok(()) => store::end_farewell(&app.pool, farewell.id).await?,
            Err(error) if farewell.tries_left > 0 => {
                tracing::warn!(%error, "a permission was not given back yet");
            }
            Err(error) => {
                tracing::error!(%error, "a permission was not given back, and will not be");
                store::end_farewell(&app.pool, farewell.id).await?;
            }
        }
    }
    Ok(())
}
