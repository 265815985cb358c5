//! How many wrong passwords an account is offered. What strangers get wrong slows down strangers
//! alone: a device that is known has a purse of its own, and other ways in have their own bounds, so
//! that nobody can lock an owner out. A contact without an account has a purse as well, else the
//! limit would tell who has one.

use axum::http::StatusCode;
use sqlx::PgConnection;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;
use web::Problem;

use crate::{
    App,
    account::Account,
    budget::{self, Purse, Rule},
    client::Client,
    contact::Contact,
    device,
};

/// Wrong passwords in a row, and then one each five minutes: 288 a day, of which none is among the
/// first millions that anybody tries (`password.rs`).
const WRONG: Rule = Rule {
    in_a_row: 20,
    share: Duration::minutes(5),
};

/// Pays for a try before it is made, in a commit of its own: tries in parallel can't share one. Or
/// tells after how many seconds there is another.
pub(crate) async fn pay(
    app: &App,
    account: Option<&Account>,
    contact: &Contact,
    client: &Client,
    now: OffsetDateTime,
) -> Result<Result<Purse, u32>, sqlx::Error> {
    let account_id = account.map_or(Uuid::nil(), |account| account.id);
    let known = device::known(&app.pool, account_id, client).await?;
    let purse = match known {
        Some(device_id) => app
            .purses
            .of("password from a device", device_id.as_bytes()),
        None => app.purses.of("password", contact.as_str().as_bytes()),
    };
    let mut line = app.pool.acquire().await?;
    let paid = budget::spend(&mut line, &purse, WRONG, now).await?;
    Ok(paid.map(|()| purse))
}

/// Gives the try back: the password was right.
pub(crate) async fn forgive(tx: &mut PgConnection, paid: &Purse) -> Result<(), sqlx::Error> {
    budget::give_back(tx, paid, WRONG).await
}

/// The answer to whoever has tried too often.
pub(crate) fn too_many(wait_s: u32) -> Problem {
    Problem::new(
        StatusCode::TOO_MANY_REQUESTS,
        "too_many_attempts",
        "Too many attempts",
    )
    .detail("wait a while, or use another way to sign in")
    .retry_after(wait_s)
}
