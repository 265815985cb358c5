//! How a second proof, or a fresh one, is asked for and judged.
//!
//! Judging has two halves. [`examine`] pays the try, in a commit of its own, and compares; it holds no
//! connection while it waits for another. [`Examined::settle`] spends what was shown in the story's
//! transaction, so that nothing is good twice.

use axum::{http::StatusCode, response::IntoResponse};
use events::{Notice, Purpose};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::PgConnection;
use thiserror::Error;
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;
use web::Problem;

use super::{recovery::RecoveryCode, store, totp};
use crate::{
    App,
    account::Account,
    audit::{self, Act},
    challenge::{self, ChallengeError, Proven, Sends, Tried, Wanted},
    client::Client,
    code::Code,
    device,
    factor::{Factor, Kind},
    key::Tag,
    notice,
    passkey::{self, Assertion, PasskeyRequest},
    password::{HasherError, Password},
};

/// Failures in a row of one factor, from one device or from anywhere else (NIST SP 800-63B §5.2.2).
const MAX_FAILURES: i16 = 100;

/// A proof, by what it is.
#[derive(Deserialize, ToSchema)]
#[serde(tag = "factor", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Proof {
    /// The code that an authenticator app shows.
    Totp { code: Code },
    /// The code of a text message.
    Sms { flow_id: Uuid, code: Code },
    /// The code of a mail.
    Email { flow_id: Uuid, code: Code },
    /// What a passkey says to the challenge that was asked for.
    Passkey { credential: Assertion },
    /// A code from paper.
    RecoveryCode { code: RecoveryCode },
    /// The password.
    Password {
        #[schema(value_type = String, format = "password", max_length = 1024)]
        password: Password,
    },
}

/// Who proves something, and for what.
pub(crate) struct Prover<'a> {
    pub(crate) account: &'a Account,
    /// The sign-in or the session that codes are sent for; they hold for no other.
    pub(crate) bound_to: &'a str,
    pub(crate) client: &'a Client,
}

/// What was sent, or is there to be signed.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Asked {
    factor: Kind,
    /// Goes back with the code, where one was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    flow_id: Option<Uuid>,
    /// Where the code went, as far as its owner needs to know it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    sent_to: Option<String>,
    /// What to ask the browser for, where a passkey is the factor.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    passkey: Option<PasskeyRequest>,
    /// Seconds for which the answer is awaited.
    expires_in: i64,
}

/// Why a proof is none.
#[derive(Debug, Error)]
pub(crate) enum ProofError {
    #[error("the proof does not hold")]
    Invalid,
    #[error("this factor has failed too often")]
    Exhausted,
    #[error("the account has no such factor, or there is nothing to send for it")]
    NotEnrolled,
    #[error(transparent)]
    Hasher(#[from] HasherError),
    #[error(transparent)]
    Passkey(#[from] passkey::BeginError),
    #[error(transparent)]
    Challenge(ChallengeError),
    #[error("judging a proof")]
    Store(#[from] sqlx::Error),
}

/// A proof that holds, and is still to be spent.
pub(crate) struct Examined {
    what: What,
    device_id: Uuid,
}

enum What {
    Totp { id: Uuid, step: i64 },
    Code(Proven, Factor),
    Recovery(Tag),
    Passkey,
    Password,
}

/// Has a code sent to the account's own contact.
pub(crate) async fn ask(
    app: &App,
    tx: &mut PgConnection,
    prover: &Prover<'_>,
    kind: Kind,
    purpose: Purpose,
    now: OffsetDateTime,
) -> Result<Asked, ProofError> {
    if kind == Kind::Passkey {
        let request = passkey::options_for(app, tx, prover.account, prover.bound_to, now).await?;
        return Ok(Asked {
            factor: kind,
            flow_id: None,
            sent_to: None,
            passkey: Some(request.ok_or(ProofError::NotEnrolled)?),
            expires_in: passkey::CEREMONY_TTL.whole_seconds(),
        });
    }
    let to = match kind {
        Kind::Sms => prover.account.number(),
        Kind::Email => prover.account.mailbox(),
        _ => None,
    };
    let to = to.ok_or(ProofError::NotEnrolled)?;
    let wanted = Wanted {
        purpose,
        to: &to,
        account_id: Some(prover.account.id),
        bound_to: Some(prover.bound_to),
        sends: Sends::Code,
        state: json!({}),
    };
    let flow_id = challenge::issue(app, tx, &wanted, now)
        .await
        .map_err(ProofError::Challenge)?;
    Ok(Asked {
        factor: kind,
        flow_id: Some(flow_id),
        sent_to: Some(to.masked()),
        passkey: None,
        expires_in: challenge::TTL.whole_seconds(),
    })
}

/// Tells whether a proof holds. What it is a proof of is for the caller to judge.
pub(crate) async fn examine(
    app: &App,
    prover: &Prover<'_>,
    proof: Proof,
    now: OffsetDateTime,
) -> Result<Examined, ProofError> {
    let account = prover.account;
    let device_id = device::known(&app.pool, account.id, prover.client).await?;
    let device_id = device_id.unwrap_or(Uuid::nil());
    let factor = proof.factor();
    // Strangers' failures don't count against a device that is known.
    let paid = store::pay(
        &app.pool,
        account.id,
        factor.name(),
        device_id,
        MAX_FAILURES,
    )
    .await?;
    if !paid {
        return Err(ProofError::Exhausted);
    }
    let what = match proof {
        Proof::Totp { code } => {
            let mut apps = store::totp_secrets(&app.pool, account.id)
                .await?
                .into_iter();
            let fitting = apps.find_map(|factor| {
                let secret = app.factor_key.open(factor.id.as_bytes(), &factor.secret)?;
                Some((factor.id, totp::matches(&secret, &code, now)?))
            });
            let (id, step) = fitting.ok_or(ProofError::Invalid)?;
            What::Totp { id, step }
        }
        Proof::Sms { flow_id, code } | Proof::Email { flow_id, code } => {
            let purposes = [Purpose::SecondFactor, Purpose::StepUp];
            let tried = Tried::Code(&code);
            let proven = challenge::prove(app, flow_id, &purposes, tried, now).await;
            let proven = proven.map_err(|error| match error {
                ChallengeError::Invalid => ProofError::Invalid,
                error => ProofError::Challenge(error),
            })?;
            let is_theirs = proven.account_id == Some(account.id)
                && proven.bound_to.as_deref() == Some(prover.bound_to)
                && proven.factor() == factor;
            if !is_theirs {
                return Err(ProofError::Invalid);
            }
            What::Code(proven, factor)
        }
        Proof::Passkey { credential } => {
            // What is spent by it is its own challenge, so that is done here.
            let mut tx = app.pool.begin().await?;
            let holds =
                passkey::prove(app, &mut tx, account, prover.bound_to, &credential, now).await?;
            tx.commit().await?;
            if !holds {
                return Err(ProofError::Invalid);
            }
            What::Passkey
        }
        Proof::RecoveryCode { code } => What::Recovery(code.hash(&app.factor_key, account.id)),
        Proof::Password { password } => {
            let kept = account.password_hash.as_deref();
            let place = app.passwords.enter()?;
            let check = app.passwords.verify(place, password, kept).await?;
            if !check.is_right() {
                return Err(ProofError::Invalid);
            }
            What::Password
        }
    };
    Ok(Examined { what, device_id })
}

impl Proof {
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::Totp { .. } => Kind::Totp,
            Self::Sms { .. } => Kind::Sms,
            Self::Email { .. } => Kind::Email,
            Self::Passkey { .. } => Kind::Passkey,
            Self::RecoveryCode { .. } => Kind::RecoveryCode,
            Self::Password { .. } => Kind::Password,
        }
    }

    fn factor(&self) -> Factor {
        match self {
            Self::Totp { .. } => Factor::Totp,
            Self::Sms { .. } => Factor::SmsCode,
            Self::Email { .. } => Factor::EmailCode,
            Self::Passkey { .. } => Factor::Passkey,
            Self::RecoveryCode { .. } => Factor::RecoveryCode,
            Self::Password { .. } => Factor::Password,
        }
    }
}

impl Examined {
    /// Spends what was shown. Of two who show the same at once, one finds it spent.
    pub(crate) async fn settle(
        self,
        tx: &mut PgConnection,
        prover: &Prover<'_>,
        now: OffsetDateTime,
    ) -> Result<Factor, ProofError> {
        let account = prover.account;
        let (factor, is_spent) = match &self.what {
            What::Totp { id, step } => {
                (Factor::Totp, store::spend_step(tx, *id, *step, now).await?)
            }
            What::Code(proven, factor) => {
                let is_spent = challenge::take(tx, proven).await?;
                store::note_message(tx, account.id, proven.contact.channel_name(), now).await?;
                (*factor, is_spent)
            }
            What::Recovery(hash) => {
                let is_spent = store::spend_recovery_code(tx, account.id, hash, now).await?;
                (Factor::RecoveryCode, is_spent)
            }
            What::Passkey => (Factor::Passkey, true),
            What::Password => (Factor::Password, true),
        };
        if !is_spent {
            return Err(ProofError::Invalid);
        }
        // Who has proven themselves from there has not been guessing from there.
        store::forgive(tx, account.id, self.device_id).await?;
        if factor == Factor::RecoveryCode {
            notice::tell(tx, account, Notice::RecoveryCodeUsed, None, now).await?;
            audit::record(tx, now, Act::RecoveryCodeUsed, account.id, None).await?;
        }
        Ok(factor)
    }
}

impl From<ProofError> for Problem {
    fn from(error: ProofError) -> Self {
        match error {
            ProofError::Invalid => Problem::new(
                StatusCode::UNAUTHORIZED,
                "invalid_proof",
                "The proof does not hold",
            ),
            ProofError::Exhausted => Problem::new(
                StatusCode::FORBIDDEN,
                "factor_exhausted",
                "This factor has failed too often",
            )
            .detail("use another factor, or a device that you have signed in from before"),
            ProofError::NotEnrolled => Problem::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "bad_factor",
                "This factor is not there, or needs nothing to be sent",
            ),
            ProofError::Hasher(error) => error.into(),
            ProofError::Challenge(error) => error.into(),
            ProofError::Passkey(_) | ProofError::Store(_) => Problem::internal(error),
        }
    }
}

impl IntoResponse for ProofError {
    fn into_response(self) -> axum::response::Response {
        Problem::from(self).into_response()
    }
}
