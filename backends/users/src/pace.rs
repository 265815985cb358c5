//! What an outsider may ask about a contact is done at one pace. For somebody who has an account it
//! differs a little from what is done for somebody who has none, by a row and a message; that is over
//! long before [`FLOOR`], and whoever asks waits for the floor.

use std::{future::Future, time::Duration};

use tokio::time::Instant;

/// Several times what the work takes on a machine that is not overloaded; where it is, its noise hides
/// more than the difference.
const FLOOR: Duration = Duration::from_millis(25);

/// Does the work that differs, and gives its outcome back no sooner than the floor.
pub(crate) async fn even<F: Future>(work: F) -> F::Output {
    let due = Instant::now() + FLOOR;
    let outcome = work.await;
    tokio::time::sleep_until(due).await;
    outcome
}
