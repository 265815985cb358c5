//! Authenticator apps: `POST /v1/me/mfa/totp`, and `/confirm`. Codes are those of RFC 6238 as all apps
//! have them: HMAC-SHA1, thirty seconds, six digits.

use std::sync::Arc;

use axum::{Json, extract::State, http::StatusCode};
use data_encoding::BASE32_NOPAD;
use ring::hmac;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;
use web::Input;

use super::{FactorError, FactorName, MAX_FACTORS, note_added, store};
use crate::{App, account, code::Code, step_up::Fresh};

/// Seconds that a code stands for.
const STEP_S: i64 = 30;
/// Clocks of phones may be a step early or late (RFC 6238 §5.2).
const DRIFT: i64 = 1;
/// RFC 4226 §4 asks for 128 bits at least, and recommends 160.
const SECRET_BYTES: usize = 20;

/// An app to be enrolled.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TotpWish {
    name: FactorName,
}

/// What the app is told: the one time that it is shown.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewTotp {
    id: Uuid,
    /// Base32, for who types it.
    secret: String,
    /// For a QR code.
    uri: String,
}

/// The first code of an app.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FirstCode {
    id: Uuid,
    code: Code,
}

/// Begins to enrol an authenticator app. It proves nothing until its first code has come back.
#[utoipa::path(
    post, path = "/v1/me/mfa/totp", operation_id = "enrolTotp", tag = "me",
    request_body = TotpWish,
    responses(
        (status = 201, description = "What the app is told, shown this once", body = NewTotp),
        (status = 403, description = "A fresh proof is due (`second_factor_required`)"),
        (status = 409, description = "`too_many_factors`"),
    )
)]
pub(crate) async fn enrol(
    State(app): State<Arc<App>>,
    Fresh(caller): Fresh,
    Input(wish): Input<TotpWish>,
) -> Result<(StatusCode, Json<NewTotp>), FactorError> {
    let now = app.clock.now();
    let id = Uuid::now_v7();
    let mut secret = [0; SECRET_BYTES];
    getrandom::fill(&mut secret)?;
    let sealed = app.factor_key.seal(id.as_bytes(), &secret)?;
    let mut tx = app.pool.begin().await?;
    let account = account::store::hold(&mut tx, caller.user_id).await?;
    let account = account.ok_or(FactorError::Gone)?;
    // What was begun and not confirmed makes room.
    store::remove_unconfirmed(&mut tx, account.id).await?;
    if store::count(&mut tx, account.id).await? >= MAX_FACTORS {
        return Err(FactorError::TooMany);
    }
    store::add_totp(&mut tx, id, account.id, &wish.name.0, &sealed, now).await?;
    tx.commit().await?;
    let secret = BASE32_NOPAD.encode(&secret);
    let label = account.email.or(account.phone).unwrap_or_default();
    let uri = otpauth(&app.product, &label, &secret);
    Ok((StatusCode::CREATED, Json(NewTotp { id, secret, uri })))
}

/// Confirms an authenticator app with its first code: from now on it is asked for.
#[utoipa::path(
    post, path = "/v1/me/mfa/totp/confirm", operation_id = "confirmTotp", tag = "me",
    request_body = FirstCode,
    responses(
        (status = 204, description = "It is a second factor"),
        (status = 400, description = "The code does not fit (`invalid_code`)"),
        (status = 403, description = "A fresh proof is due (`second_factor_required`)"),
        (status = 404, description = "`not_found`: not there, or not the caller's"),
    )
)]
pub(crate) async fn confirm(
    State(app): State<Arc<App>>,
    Fresh(caller): Fresh,
    Input(first): Input<FirstCode>,
) -> Result<StatusCode, FactorError> {
    let now = app.clock.now();
    let mut tx = app.pool.begin().await?;
    let account = account::store::hold(&mut tx, caller.user_id).await?;
    let account = account.ok_or(FactorError::Gone)?;
    let begun = store::unconfirmed(&mut tx, account.id, first.id).await?;
    let begun = begun.ok_or(FactorError::NotFound)?;
    let secret = app.factor_key.open(begun.id.as_bytes(), &begun.secret);
    let secret = secret.ok_or(FactorError::NotFound)?;
    let step = matches(&secret, &first.code, now).ok_or(FactorError::InvalidCode)?;
    store::confirm(&mut tx, begun.id, step, now).await?;
    note_added(&mut tx, &account, &caller, &begun.name, now).await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The step whose code this is, among those that the clock allows.
pub(super) fn matches(secret: &[u8], code: &Code, now: OffsetDateTime) -> Option<i64> {
    let current = now.unix_timestamp().div_euclid(STEP_S);
    // All of them, whichever fits: the clock must not tell which one did.
    (current - DRIFT..=current + DRIFT).fold(None, |found, step| {
        let fits = digits(secret, step)
            .as_bytes()
            .ct_eq(code.reveal().as_bytes());
        if bool::from(fits) { Some(step) } else { found }
    })
}

/// The six digits of a step (RFC 4226 §5.3).
fn digits(secret: &[u8], step: i64) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret);
    let tag = hmac::sign(&key, &step.to_be_bytes());
    let tag = tag.as_ref();
    let offset = usize::from(tag[tag.len() - 1] & 0xf);
    let word = tag[offset..offset + 4].iter();
    let number = word.fold(0_u32, |number, byte| number << 8 | u32::from(*byte)) & 0x7fff_ffff;
    format!("{:06}", number % 1_000_000)
}

/// The URI that apps read from a QR code (google-authenticator's key URI format).
fn otpauth(issuer: &str, label: &str, secret: &str) -> String {
    let mut uri = url::Url::parse("otpauth://totp/").expect("a URL");
    uri.set_path(&format!("{issuer}:{label}"));
    uri.query_pairs_mut()
        .append_pair("secret", secret)
        .append_pair("issuer", issuer);
    // Apps read `+` as a plus.
    uri.as_str().replace('+', "%20")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6238, appendix B, of whose eight digits the last six are ours.
    #[test]
    fn codes_are_those_of_the_rfc() {
        let secret = b"12345678901234567890";
        for (at, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            assert_eq!(digits(secret, at / STEP_S), code, "{at}");
        }
    }

    #[test]
    fn a_clock_may_be_one_step_off_and_no_more() {
        let secret = b"12345678901234567890";
        let code = Code::parse("005924").expect("a code");
        for (off, fits) in [
            (-61, false),
            (-30, true),
            (0, true),
            (30, true),
            (61, false),
        ] {
            let now = OffsetDateTime::from_unix_timestamp(1_234_567_890 + off).expect("a time");
            assert_eq!(matches(secret, &code, now).is_some(), fits, "{off}");
        }
    }

    #[test]
    fn an_app_reads_who_and_where() {
        assert_eq!(
            otpauth("Vorota Bank", "ann@example.com", "JBSWY3DP"),
            "otpauth://totp/Vorota%20Bank:ann@example.com?secret=JBSWY3DP&issuer=Vorota%20Bank"
        );
        let phone = otpauth("Vorota", "+14155550123", "JBSWY3DP");
        assert!(
            phone.contains("%2014155550123") || phone.contains("14155550123"),
            "{phone}"
        );
    }
}
