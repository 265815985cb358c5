//! Passkeys (WebAuthn Level 3): made by somebody who is signed in ([`enrol`]), looked after
//! ([`keep`]), and then a way in by themselves ([`sign_in`]) or the second proof beside another
//! ([`options_for`], [`prove`]).
//!
//! A passkey is a thing that somebody has, and it makes sure of its owner before it signs: we take
//! none that has not. So it is two factors at once, and no third is asked for.
//!
//! The rules of the ceremonies are in [`client_data`], [`authenticator`] and [`public_key`], with
//! the numbers of the standard's steps. We ask for no attestation, so no make of authenticator is
//! believed or refused, and the certificates that come along with some are not looked at.

mod authenticator;
mod client_data;
mod credential;
pub(crate) mod enrol;
pub(crate) mod keep;
mod octets;
mod options;
mod public_key;
mod relying_party;
pub(crate) mod sign_in;
mod store;

use axum::{
    http::StatusCode,
    response::{IntoResponse, Response},
};
use sqlx::PgConnection;
use thiserror::Error;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;
use web::Problem;

pub(crate) use credential::Assertion;
pub(crate) use options::PasskeyRequest;
pub(crate) use relying_party::RelyingParty;
pub(crate) use store::sweep;

use crate::{
    App,
    account::{self, Account},
    audit::{self, Act},
    login::LoginError,
};
use authenticator::AuthenticatorData;
use client_data::{CHALLENGE_LEN, Ceremony, Challenge, ClientData};
use public_key::PublicKey;
use store::Kept;

/// Passkeys that an account may have.
const MAX_PASSKEYS: i64 = 20;
/// How long a challenge waits for its answer: long enough to find the phone.
pub(crate) const CEREMONY_TTL: Duration = Duration::minutes(5);

/// What a challenge is given out for, and to whom. It is good for nothing else.
#[derive(Clone, Copy, Debug)]
enum Aim<'a> {
    /// A passkey is added to the account, in this session.
    Enrol { account_id: Uuid, session: &'a str },
    /// Somebody comes in; who it is will be seen.
    SignIn,
    /// The account's owner proves themselves, in a sign-in under way or in a session.
    Prove { account_id: Uuid, bound_to: &'a str },
}

impl Aim<'_> {
    fn name(&self) -> &'static str {
        match self {
            Self::Enrol { .. } => "enrol",
            Self::SignIn => "sign_in",
            Self::Prove { .. } => "prove",
        }
    }

    fn account_id(&self) -> Option<Uuid> {
        match self {
            Self::Enrol { account_id, .. } | Self::Prove { account_id, .. } => Some(*account_id),
            Self::SignIn => None,
        }
    }

    fn bound_to(&self) -> Option<&str> {
        match self {
            Self::Enrol { session, .. } => Some(session),
            Self::SignIn => None,
            Self::Prove { bound_to, .. } => Some(bound_to),
        }
    }
}

/// What is wrong with an answer to a challenge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum Flaw {
    #[error("the {0} can't be read")]
    Malformed(&'static str),
    #[error("it answers the other of the two ceremonies")]
    Ceremony,
    #[error("the challenge is none of this ceremony's, or no longer")]
    Challenge,
    #[error("it was made on another page")]
    Origin,
    #[error("it was made in a frame of another page")]
    Framed,
    #[error("it was made for another domain")]
    RelyingParty,
    #[error("nobody touched the authenticator")]
    NobodyThere,
    #[error("the authenticator did not make sure of its owner")]
    Unverified,
    #[error("what it says of its copies does not fit")]
    Backup,
    #[error("its key is of a kind that was not asked for")]
    Algorithm,
    #[error("there is no such passkey")]
    Unknown,
    #[error("the passkey is somebody else's")]
    Owner,
    #[error("the signature is not its key's")]
    Signature,
    #[error("its counter went back: there may be a copy")]
    Counter,
}

/// Why nothing becomes of a wish about passkeys.
#[derive(Debug, Error)]
pub(crate) enum PasskeyError {
    #[error("passkeys are looked after by somebody who is signed in")]
    NotSignedIn,
    #[error("the caller's account is gone")]
    Gone,
    #[error("there is no such passkey of the caller's")]
    NotFound,
    #[error("{0}")]
    Refused(#[from] Flaw),
    #[error("the passkey belongs to an account already")]
    Known,
    #[error("an account has at most {MAX_PASSKEYS} passkeys")]
    TooMany,
    #[error("nobody could come in without it")]
    LastWayIn,
    #[error("the passkey proves nobody")]
    NotProven,
    #[error(transparent)]
    Login(#[from] LoginError),
    #[error(transparent)]
    Begin(#[from] BeginError),
    #[error("keeping passkeys")]
    Store(#[from] sqlx::Error),
}

/// Why no challenge was given out.
#[derive(Debug, Error)]
pub(crate) enum BeginError {
    #[error("drawing a challenge")]
    Randomness(#[from] getrandom::Error),
    #[error("keeping a challenge")]
    Store(#[from] sqlx::Error),
}

/// A challenge by which the account's owner can prove themselves with one of their passkeys, good in
/// `bound_to` alone: a sign-in under way, or a session. None if they have no passkey.
pub(crate) async fn options_for(
    app: &App,
    tx: &mut PgConnection,
    account: &Account,
    bound_to: &str,
    now: OffsetDateTime,
) -> Result<Option<PasskeyRequest>, BeginError> {
    let known = store::descriptors(tx, account.id, MAX_PASSKEYS).await?;
    if known.is_empty() {
        return Ok(None);
    }
    let aim = Aim::Prove {
        account_id: account.id,
        bound_to,
    };
    let challenge = begin(tx, &aim, now).await?;
    Ok(Some(PasskeyRequest::new(&app.party, &challenge, known)))
}

/// Whether the answer to a challenge of [`options_for`] proves the account's owner. Its challenge is
/// spent either way: the caller commits either way.
pub(crate) async fn prove(
    app: &App,
    tx: &mut PgConnection,
    account: &Account,
    bound_to: &str,
    assertion: &Assertion,
    now: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    let aim = Aim::Prove {
        account_id: account.id,
        bound_to,
    };
    let proof = check(app, tx, &aim, assertion, now).await?;
    Ok(proof.is_ok())
}

/// Gives out a challenge.
async fn begin(
    tx: &mut PgConnection,
    aim: &Aim<'_>,
    now: OffsetDateTime,
) -> Result<Challenge, BeginError> {
    let mut challenge = [0; CHALLENGE_LEN];
    getrandom::fill(&mut challenge)?;
    store::begin(tx, &challenge, aim, now + CEREMONY_TTL).await?;
    Ok(challenge)
}

/// An answer that proves nobody, and whose passkey it was, where that is known.
struct Unproven {
    account_id: Option<Uuid>,
}

/// Whom an answer proves. What is written about one that proves nobody must be committed too.
async fn check(
    app: &App,
    tx: &mut PgConnection,
    aim: &Aim<'_>,
    assertion: &Assertion,
    now: OffsetDateTime,
) -> Result<Result<Uuid, Unproven>, sqlx::Error> {
    let mut account_id = None;
    let flaw = match answered(app, tx, aim, &assertion.response.client_data_json.0, now).await? {
        Err(flaw) => flaw,
        Ok(()) => match held(tx, &assertion.id.0).await? {
            None => Flaw::Unknown,
            Some(kept) => {
                account_id = Some(kept.account_id);
                match judge(&app.party, aim, &kept, assertion) {
                    Ok(data) => {
                        let backed_up = data.is_backed_up();
                        store::used(tx, kept.id, data.sign_count, backed_up, now).await?;
                        return Ok(Ok(kept.account_id));
                    }
                    Err(flaw) => flaw,
                }
            }
        },
    };
    tracing::info!(user_id = ?account_id, aim = aim.name(), %flaw, "a passkey proved nobody");
    if let (Flaw::Counter, Some(account_id)) = (flaw, account_id) {
        audit::record(tx, now, Act::PasskeyCounterWentBack, account_id, None).await?;
    }
    Ok(Err(Unproven { account_id }))
}

/// Finds a passkey, and holds its account and then itself until the commit.
async fn held(
    tx: &mut PgConnection,
    credential_id: &[u8],
) -> Result<Option<store::Kept>, sqlx::Error> {
    let Some(owner) = store::owner(tx, credential_id).await? else {
        return Ok(None);
    };
    account::store::hold(tx, owner).await?;
    store::lock(tx, credential_id).await
}

/// Takes the challenge that was answered, if it was given out for this.
async fn answered(
    app: &App,
    tx: &mut PgConnection,
    aim: &Aim<'_>,
    client_data_json: &[u8],
    now: OffsetDateTime,
) -> Result<Result<(), Flaw>, sqlx::Error> {
    let ceremony = match aim {
        Aim::Enrol { .. } => Ceremony::Create,
        Aim::SignIn | Aim::Prove { .. } => Ceremony::Get,
    };
    let read = ClientData::parse(client_data_json).and_then(|it| Ok((it.challenge()?, it)));
    let (challenge, client_data) = match read {
        Ok(read) => read,
        Err(flaw) => return Ok(Err(flaw)),
    };
    if !store::take(tx, &challenge, aim, now).await? {
        return Ok(Err(Flaw::Challenge));
    }
    Ok(client_data.judge(ceremony, &app.party))
}

/// Steps 5 to 24 of §7.2, but for those that [`answered`] has done.
fn judge<'a>(
    party: &RelyingParty,
    aim: &Aim<'_>,
    kept: &Kept,
    assertion: &'a Assertion,
) -> Result<AuthenticatorData<'a>, Flaw> {
    let response = &assertion.response;
    let handle = response.user_handle.as_ref().map(|it| it.0.as_slice());
    let is_theirs = match aim.account_id() {
        Some(account_id) => {
            kept.account_id == account_id && handle.is_none_or(|it| it == account_id.as_bytes())
        }
        // Nobody was named, so the authenticator must have done it.
        None => handle == Some(kept.account_id.as_bytes()),
    };
    if !is_theirs {
        return Err(Flaw::Owner);
    }
    let data = AuthenticatorData::parse(&response.authenticator_data.0)?;
    data.judge(party)?;
    // Once made for several devices or for one, it stays so.
    if data.is_backup_eligible() != kept.backup_eligible {
        return Err(Flaw::Backup);
    }
    PublicKey::parse(&kept.public_key)?.verify(&response.signed(), &response.signature.0)?;
    let count = i64::from(data.sign_count);
    if (count, kept.sign_count) != (0, 0) && count <= kept.sign_count {
        return Err(Flaw::Counter);
    }
    Ok(data)
}

impl From<PasskeyError> for Problem {
    fn from(error: PasskeyError) -> Self {
        let conflict = |code, title| Problem::new(StatusCode::CONFLICT, code, title);
        match error {
            PasskeyError::NotSignedIn => Problem::session_required(),
            PasskeyError::Gone => Problem::unauthenticated(),
            PasskeyError::NotFound => Problem::not_found(),
            PasskeyError::Refused(flaw) => Problem::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "passkey_refused",
                "The passkey can't be taken",
            )
            .detail(flaw.to_string()),
            PasskeyError::Known => conflict("passkey_known", "The passkey is in use already"),
            PasskeyError::TooMany => {
                conflict("too_many_passkeys", "Too many passkeys").detail(error.to_string())
            }
            PasskeyError::LastWayIn => conflict("last_way_in", "The last way in")
                .detail("add another way to sign in before this one is removed"),
            PasskeyError::NotProven => Problem::new(
                StatusCode::UNAUTHORIZED,
                "invalid_credentials",
                "The passkey proves nobody",
            ),
            PasskeyError::Login(error) => error.into(),
            PasskeyError::Begin(_) | PasskeyError::Store(_) => Problem::internal(error),
        }
    }
}

impl IntoResponse for PasskeyError {
    fn into_response(self) -> Response {
        Problem::from(self).into_response()
    }
}
