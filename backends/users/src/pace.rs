//! Answers to questions that an outsider may ask about a contact come at one pace: none sooner than
//! [`FLOOR`] after its question. What is done for somebody who has an account differs a little from
//! what is done for somebody who has none, by a row and a message; that is over long before.

use std::time::Duration;

use axum::{extract::Request, middleware::Next, response::Response};
use tokio::time::Instant;

/// Several times what the work takes on a machine that is not overloaded; where it is, its noise hides
/// more than the difference.
const FLOOR: Duration = Duration::from_millis(25);

/// Holds an answer back until its time has come.
pub(crate) async fn even(request: Request, next: Next) -> Response {
    let due = Instant::now() + FLOOR;
    let answer = next.run(request).await;
    tokio::time::sleep_until(due).await;
    answer
}
