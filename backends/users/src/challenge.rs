//! Codes and links that prove a contact: made, sent, tried and spent. Every story that needs one uses
//! this, so that each has the same bounds: five tries, ten minutes, its own flow, and only so many
//! messages to one contact.
//!
//! Where nobody is to be reached the same work is done for a flow that no guess fits: an outsider
//! must not learn from an answer, nor from the clock, who has an account here. Unknown flow, wrong,
//! late and one guess too many all get the same answer.

mod link;
mod store;

use axum::{http::StatusCode, response::IntoResponse};
use events::{AddressKnown, Channel, CodeIssued, Purpose};
use serde_json::{Map, Value};
use sqlx::PgConnection;
use thiserror::Error;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;
use web::Problem;

pub(crate) use link::LinkToken;
pub(crate) use store::{end_others, sweep};

use crate::{
    App, SCHEMA,
    account::{self, Standing},
    audit,
    budget::{self, Rule},
    code::Code,
    contact::Contact,
    factor::Factor,
    pace,
    refusal::Shown,
};

/// How long a code is good for.
pub(crate) const TTL: Duration = Duration::minutes(10);
/// Guesses per code. With a million codes and ten mails an hour, guessing at one contact round the
/// clock takes more than a year to be likely to succeed.
pub(crate) const TRIES: i16 = 5;
/// How long a flow may still ask for another code after its last one expired: whoever came while
/// strangers had spent the contact's messages need not begin again.
pub(crate) const RENEWABLE: Duration = Duration::hours(1);
/// Mails to one address, so that nobody's inbox is flooded through us. All flows share them, because
/// all that a mail costs is its owner's patience; and strangers never shut the door for longer than a
/// share. Who is first through it then is for the edge to make fair, with its limit for each client.
const MAILS: Rule = Rule {
    in_a_row: 10,
    share: Duration::minutes(6),
};
/// Text messages to one number: each costs money as well.
const TEXTS: Rule = Rule {
    in_a_row: 5,
    share: Duration::minutes(15),
};

/// What is to be proven.
pub(crate) struct Wanted<'a> {
    pub(crate) purpose: Purpose,
    pub(crate) to: &'a Contact,
    /// Whose account it is about, where there is one.
    pub(crate) account_id: Option<Uuid>,
    /// What else it holds for alone.
    pub(crate) bound_to: Option<&'a str>,
    pub(crate) sends: Sends,
    /// What is to be done once it is proven.
    pub(crate) state: Value,
}

/// What reaches the contact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sends {
    /// A code, and in a mail a link.
    Code,
    /// The news that somebody tried to register a contact that has an account.
    Known,
    /// Nothing: nobody is there.
    Nothing,
}

/// What somebody brings back.
#[derive(Clone, Copy)]
pub(crate) enum Tried<'a> {
    Code(&'a Code),
    Link(&'a LinkToken),
}

/// What has been proven, and is still to be [`take`]n.
pub(crate) struct Proven {
    pub(crate) flow_id: Uuid,
    pub(crate) contact: Contact,
    pub(crate) account_id: Option<Uuid>,
    pub(crate) bound_to: Option<String>,
    pub(crate) state: Value,
    /// Whether it was the link of a mail.
    pub(crate) by_link: bool,
    /// The code's hash at that time: one that was renewed meanwhile is not taken.
    code_hash: Vec<u8>,
}

impl Proven {
    /// What has been proven by it.
    pub(crate) fn factor(&self) -> Factor {
        match (self.contact.channel(), self.by_link) {
            (Channel::Sms, _) => Factor::SmsCode,
            (Channel::Email, false) => Factor::EmailCode,
            (Channel::Email, true) => Factor::EmailLink,
        }
    }
}

/// Why nothing is proven.
#[derive(Debug, Error)]
pub(crate) enum ChallengeError {
    #[error("the code does not fit")]
    Invalid,
    #[error("drawing a code")]
    Randomness(#[from] getrandom::Error),
    #[error("keeping a code")]
    Store(#[from] sqlx::Error),
}

impl Sends {
    fn name(self) -> &'static str {
        match self {
            Self::Code => "code",
            Self::Known => "known",
            Self::Nothing => "nothing",
        }
    }

    fn kept(name: &str) -> Self {
        match name {
            "code" => Self::Code,
            "known" => Self::Known,
            _ => Self::Nothing,
        }
    }
}

/// Ends a proven flow, behind the account that it is about. False when somebody was faster, or its code
/// is another one by now.
pub(crate) async fn take(tx: &mut PgConnection, proven: &Proven) -> Result<bool, sqlx::Error> {
    if let Some(account_id) = proven.account_id {
        account::store::hold(tx, account_id).await?;
    }
    store::take(tx, proven).await
}

/// Has a code sent to whoever has an account of this contact, unless it is given up. Neither the answer
/// nor the time that it takes tells whether anybody has.
pub(crate) async fn ask_owner(
    app: &App,
    contact: &Contact,
    purpose: Purpose,
) -> Result<Uuid, ChallengeError> {
    let ask = async {
        let now = app.clock.now();
        let mut tx = app.pool.begin().await?;
        let account = account::store::by_contact(&mut *tx, contact).await?;
        let account = account.filter(|account| account.standing(now) != Standing::Deleted);
        let wanted = Wanted {
            purpose,
            to: contact,
            account_id: account.as_ref().map(|account| account.id),
            bound_to: None,
            sends: match account {
                Some(_) => Sends::Code,
                None => Sends::Nothing,
            },
            state: Value::Object(Map::new()),
        };
        let flow_id = issue(app, &mut tx, &wanted, now).await?;
        tx.commit().await?;
        Ok(flow_id)
    };
    pace::even(ask).await
}

/// Makes a code and has it sent, in the transaction of the story; gives its flow.
pub(crate) async fn issue(
    app: &App,
    tx: &mut PgConnection,
    wanted: &Wanted<'_>,
    now: OffsetDateTime,
) -> Result<Uuid, ChallengeError> {
    // Random, not in the order of time: knowing a flow is what lets one type its code.
    let flow_id = Uuid::new_v4();
    let drawn = Drawn::new(app, flow_id, wanted.sends)?;
    let is_sent = pay(app, tx, wanted.to, now).await?;
    // A code that nobody is told is there to be guessed at alone.
    let tries = if is_sent { TRIES } else { 0 };
    store::keep(tx, flow_id, wanted, &drawn, tries, now + TTL).await?;
    if is_sent {
        send(tx, wanted.to, wanted.purpose, flow_id, &drawn, now + TTL).await?;
    } else {
        // Not told to the caller, who may ask for another code in a while.
        tracing::info!(%flow_id, "a contact has had its share of messages, a flow gets none");
    }
    Ok(flow_id)
}

/// Sends another code for a flow; the earlier one is void. Does nothing, and says nothing, where
/// there is none to send.
pub(crate) async fn renew(
    app: &App,
    tx: &mut PgConnection,
    flow_id: Uuid,
    now: OffsetDateTime,
) -> Result<(), ChallengeError> {
    let addressee = store::addressee(tx, flow_id).await?;
    let sends = addressee.as_ref().map_or(Sends::Nothing, |to| to.sends);
    let drawn = Drawn::new(app, flow_id, sends)?;
    if let Some(addressee) = addressee
        && pay(app, tx, &addressee.contact, now).await?
        && store::renew(tx, flow_id, &drawn, TRIES, now + TTL).await?
    {
        let store::Addressee {
            contact, purpose, ..
        } = addressee;
        send(tx, &contact, purpose, flow_id, &drawn, now + TTL).await?;
    }
    Ok(())
}

/// Tells whether what was brought proves a flow of this purpose. The try is paid in a commit of its
/// own, before the code is looked at: guesses in parallel can't share one, and who hangs up early has
/// paid as well. A link needs no tries, since there is nothing to guess at.
pub(crate) async fn prove(
    app: &App,
    flow_id: Uuid,
    purposes: &[Purpose],
    tried: Tried<'_>,
    now: OffsetDateTime,
) -> Result<Proven, ChallengeError> {
    let row = match tried {
        Tried::Code(_) => store::spend_try(&app.pool, flow_id, now).await?,
        Tried::Link(_) => store::look(&app.pool, flow_id, now).await?,
    };
    let row = row.filter(|row| purposes.contains(&row.purpose));
    let (code_hash, link_hash) = match &row {
        Some(row) => (row.code_hash.as_deref(), row.link_hash.as_deref()),
        None => (None, None),
    };
    let fits = match tried {
        Tried::Code(code) => app.codes.fits(flow_id, code, code_hash),
        Tried::Link(token) => token.fits(&app.codes, flow_id, link_hash),
    };
    let by_link = matches!(tried, Tried::Link(_));
    row.filter(|_| fits)
        .and_then(|row| row.proven(flow_id, by_link))
        .ok_or_else(|| {
            app.refusals.count(Shown::Code);
            ChallengeError::Invalid
        })
}

/// What is drawn for a flow, and what of it is kept.
struct Drawn {
    code: Option<(Code, LinkToken)>,
    code_hash: Option<[u8; 32]>,
    link_hash: Option<[u8; 32]>,
    sends: Sends,
}

impl Drawn {
    fn new(app: &App, flow_id: Uuid, sends: Sends) -> Result<Self, getrandom::Error> {
        // Drawn in each case, for the clock.
        let (code, link) = (Code::random()?, LinkToken::random()?);
        let code_hash = app.codes.seal(flow_id, &code);
        let link_hash = link.seal(&app.codes, flow_id);
        let is_code = sends == Sends::Code;
        Ok(Self {
            code: is_code.then_some((code, link)),
            code_hash: is_code.then_some(code_hash),
            link_hash: is_code.then_some(link_hash),
            sends,
        })
    }
}

/// Takes a message off what a contact may be sent.
async fn pay(
    app: &App,
    tx: &mut PgConnection,
    to: &Contact,
    now: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    let rule = match to.channel() {
        Channel::Email => MAILS,
        Channel::Sms => TEXTS,
    };
    let purse = app.purses.of("message", to.as_str().as_bytes());
    Ok(budget::spend(tx, &purse, rule, now).await?.is_ok())
}

async fn send(
    tx: &mut PgConnection,
    to: &Contact,
    purpose: Purpose,
    flow_id: Uuid,
    drawn: &Drawn,
    expires_at: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    let channel = to.channel();
    let to = to.as_str().to_owned();
    match (&drawn.code, drawn.sends) {
        (Some((code, link)), _) => {
            let link = (channel == Channel::Email).then(|| link.path(purpose, flow_id));
            let issued = CodeIssued {
                to,
                channel,
                code: code.reveal().to_owned(),
                link: link.flatten(),
                purpose,
                expires_at,
            };
            pg::outbox::publish(tx, SCHEMA, &issued).await?;
        }
        (None, Sends::Known) => {
            pg::outbox::publish(tx, SCHEMA, &AddressKnown { to, channel }).await?;
        }
        // A row that only the known leave would be seen on the clock.
        (None, _) => audit::note_stranger(tx, expires_at - TTL).await?,
    }
    Ok(())
}

impl From<ChallengeError> for Problem {
    fn from(error: ChallengeError) -> Self {
        match error {
            ChallengeError::Invalid => Problem::new(
                StatusCode::BAD_REQUEST,
                "invalid_code",
                "The code does not fit, or no longer",
            ),
            ChallengeError::Randomness(_) | ChallengeError::Store(_) => Problem::internal(error),
        }
    }
}

impl IntoResponse for ChallengeError {
    fn into_response(self) -> axum::response::Response {
        Problem::from(self).into_response()
    }
}
