//! Before anything is measured: is the work done whose cost is asked for?

use anyhow::{Context, ensure};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::users::client::{Answer, Client};
use crate::users::stage::Stage;

/// Wrong passwords in a row that somebody on an unknown device is offered.
const WRONG_IN_A_ROW: u32 = 20;

/// Looks at what a sign-in gives (`signed_in`, of `person`), and what is refused; `stranger` is
/// somebody else, on a device that nobody knows.
pub(super) async fn check(
    stage: &Stage,
    person: &Client,
    signed_in: &Answer,
    stranger: &Client,
) -> anyhow::Result<()> {
    database(stage)?;
    token(stage, &signed_in.text("/access_token")?).context("in the access token")?;

    let first = signed_in.text("/refresh_token")?;
    let second = person.refresh(&first).await?.expect(200)?;
    let third = person.refresh(&second.text("/refresh_token")?).await?;
    let third = third.expect(200)?.text("/refresh_token")?;
    ensure!(third != first, "refresh tokens go round");
    let spent = stage.ask("select count(*) from users.refresh_token where spent_at is not null")?;
    ensure!(spent == "2", "two refreshes have spent {spent} tokens");

    for _ in 0..WRONG_IN_A_ROW {
        let wrong = stranger.sign_in_with("another one").await?.expect(401)?;
        ensure!(
            wrong.body["code"] == "invalid_credentials",
            "{}",
            wrong.body
        );
    }
    let more = stranger.sign_in_with("another one").await?;
    ensure!(
        more.refuses(429, "too_many_attempts"),
        "one wrong password too many is answered {}: {}",
        more.status,
        more.body
    );
    Ok(())
}

/// Is it durable, and are passwords kept as we say?
fn database(stage: &Stage) -> anyhow::Result<()> {
    for setting in ["fsync", "synchronous_commit", "full_page_writes"] {
        let is = stage.ask(&format!("show {setting}"))?;
        ensure!(is == "on", "{setting} is {is}");
    }
    let kept = stage.ask(
        "select distinct substring(password_hash from '^.argon2id.v=19.(m=[^$]*)') from users.account",
    )?;
    ensure!(
        kept == "m=19456,t=2,p=1",
        "passwords are kept with {kept:?}"
    );
    Ok(())
}

fn token(stage: &Stage, token: &str) -> anyhow::Result<()> {
    let part = |at| {
        let part = token.split('.').nth(at).context("it is no JWT")?;
        Ok::<Value, anyhow::Error>(serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part)?)?)
    };
    let (head, claims) = (part(0)?, part(1)?);
    let is = |value: &Value, wanted: Value| {
        ensure!(*value == wanted, "{value} is not {wanted}");
        Ok(())
    };
    is(&head["typ"], json!("at+jwt"))?;
    is(&head["alg"], json!("EdDSA"))?;
    is(&claims["iss"], json!(stage.product.url()))?;
    is(&claims["aud"], json!("api"))?;
    is(&claims["roles"], json!(["user"]))?;
    is(&claims["amr"], json!(["pwd"]))?;
    for claim in ["sub", "sid", "jti"] {
        ensure!(claims[claim].is_string(), "no {claim} in {claims}");
    }
    let time = |claim: &str| claims[claim].as_i64().unwrap_or_default();
    is(&json!(time("exp") - time("iat")), json!(300))?;
    Ok(())
}
