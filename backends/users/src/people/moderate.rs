//! Keeping harm from accounts, and accounts from harm:
//! `POST /v1/users/{id}/ban`, `unban`, `freeze`, `unfreeze`, `verify`, `reset-mfa`, `revoke-sessions`.
//!
//! Whoever is banned does not get in; whoever is frozen gets in, looks and does nothing, since their
//! tokens carry the one role `frozen`. What was issued before is refused everywhere within a second,
//! keys for programs too. Nobody does this to themselves, nor to somebody who may more than they do.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State, rejection::PathRejection},
};
use events::{Notice, StandingChanged};
use serde::Deserialize;
use sqlx::{PgConnection, Postgres, Transaction};
use time::{Duration, OffsetDateTime};
use utoipa::ToSchema;
use uuid::Uuid;
use web::{Caller, Input, Precondition};

use super::{PeopleError, Person, standing::Verb, store};
use crate::{
    App, SCHEMA,
    account::{self, Account, Standing},
    audit::{Act, Entry},
    erasure, notice,
    revocation::{self, Revoked},
    rights::{self, Permission},
    role::Description,
    session::{End, end_all},
    step_up::Fresh,
};

/// The longest that something is set until a time; what shall last longer is set for good.
const MAX_TERM: Duration = Duration::days(5 * 366);

/// Why, and for how long.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Term {
    /// Its owner may be told.
    reason: Description,
    /// When it is over by itself. Default: never.
    #[serde(default, with = "time::serde::rfc3339::option")]
    #[schema(nullable = false)]
    until: Option<OffsetDateTime>,
    /// More of why, for those who work here.
    #[serde(default, deserialize_with = "web::given")]
    #[schema(nullable = false)]
    note: Option<Description>,
}

/// Why.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Ground {
    reason: Description,
    /// More of why, for those who work here.
    #[serde(default, deserialize_with = "web::given")]
    #[schema(nullable = false)]
    note: Option<Description>,
}

/// What is to become of an account's standing.
pub(super) struct Turn {
    verb: Verb,
    words: Words,
    until: Option<OffsetDateTime>,
}

/// Why something is done.
#[derive(Default)]
pub(super) struct Words {
    pub(super) reason: Option<String>,
    pub(super) note: Option<String>,
}

impl Turn {
    /// Without a word why.
    pub(super) fn plain(verb: Verb) -> Self {
        Self {
            verb,
            words: Words::default(),
            until: None,
        }
    }

    fn of(verb: Verb, term: Term) -> Self {
        let Term {
            reason,
            until,
            note,
        } = term;
        let words = Ground { reason, note }.into();
        Self { verb, words, until }
    }

    fn back(verb: Verb, ground: Ground) -> Self {
        Self {
            words: ground.into(),
            ..Self::plain(verb)
        }
    }
}

impl From<Ground> for Words {
    fn from(ground: Ground) -> Self {
        Self {
            reason: Some(ground.reason.into()),
            note: ground.note.map(Into::into),
        }
    }
}

/// Bans an account: nobody gets in, from now on, whatever they hold.
#[utoipa::path(
    post, path = "/v1/users/{id}/ban", operation_id = "banUser", tag = "users",
    params(("id" = Uuid, Path, description = "The account")),
    request_body = Term,
    responses(
        (status = 200, description = "The account as it is now, masked", body = Person),
        (status = 403, description = "`forbidden`, `own_account`, `above_own_rights`, or `second_factor_required`"),
        (status = 404, description = "There is no such account (`not_found`)"),
        (status = 409, description = "`last_admin`, or not from this standing (`standing_conflict`)"),
        (status = 422, description = "`bad_until`"),
    )
)]
pub(crate) async fn ban(
    State(app): State<Arc<App>>,
    Fresh(caller): Fresh,
    id: Result<Path<Uuid>, PathRejection>,
    Input(term): Input<Term>,
) -> Result<Json<Person>, PeopleError> {
    let id = may(&app, &caller, &[Permission::UsersModerate], id)?;
    Ok(Json(
        turn(&app, &caller, id, Turn::of(Verb::Ban, term), None).await?,
    ))
}

/// Lifts a ban.
#[utoipa::path(
    post, path = "/v1/users/{id}/unban", operation_id = "unbanUser", tag = "users",
    params(("id" = Uuid, Path, description = "The account")),
    request_body = Ground,
    responses(
        (status = 200, description = "The account as it is now, masked", body = Person),
        (status = 403, description = "`forbidden`, `own_account`, `above_own_rights`, or `second_factor_required`"),
        (status = 404, description = "There is no such account (`not_found`)"),
        (status = 409, description = "Not from this standing (`standing_conflict`)"),
    )
)]
pub(crate) async fn unban(
    State(app): State<Arc<App>>,
    Fresh(caller): Fresh,
    id: Result<Path<Uuid>, PathRejection>,
    Input(ground): Input<Ground>,
) -> Result<Json<Person>, PeopleError> {
    let id = may(&app, &caller, &[Permission::UsersModerate], id)?;
    Ok(Json(
        turn(&app, &caller, id, Turn::back(Verb::Unban, ground), None).await?,
    ))
}

/// Freezes an account: its owner gets in, looks, and does nothing.
#[utoipa::path(
    post, path = "/v1/users/{id}/freeze", operation_id = "freezeUser", tag = "users",
    params(("id" = Uuid, Path, description = "The account")),
    request_body = Term,
    responses(
        (status = 200, description = "The account as it is now, masked", body = Person),
        (status = 403, description = "`forbidden`, `own_account`, `above_own_rights`, or `second_factor_required`"),
        (status = 404, description = "There is no such account (`not_found`)"),
        (status = 409, description = "`last_admin`, or not from this standing (`standing_conflict`)"),
        (status = 422, description = "`bad_until`"),
    )
)]
pub(crate) async fn freeze(
    State(app): State<Arc<App>>,
    Fresh(caller): Fresh,
    id: Result<Path<Uuid>, PathRejection>,
    Input(term): Input<Term>,
) -> Result<Json<Person>, PeopleError> {
    let id = may(&app, &caller, &FREEZES, id)?;
    Ok(Json(
        turn(&app, &caller, id, Turn::of(Verb::Freeze, term), None).await?,
    ))
}

/// Lifts a freeze.
#[utoipa::path(
    post, path = "/v1/users/{id}/unfreeze", operation_id = "unfreezeUser", tag = "users",
    params(("id" = Uuid, Path, description = "The account")),
    request_body = Ground,
    responses(
        (status = 200, description = "The account as it is now, masked", body = Person),
        (status = 403, description = "`forbidden`, `own_account`, `above_own_rights`, or `second_factor_required`"),
        (status = 404, description = "There is no such account (`not_found`)"),
        (status = 409, description = "Not from this standing (`standing_conflict`)"),
    )
)]
pub(crate) async fn unfreeze(
    State(app): State<Arc<App>>,
    Fresh(caller): Fresh,
    id: Result<Path<Uuid>, PathRejection>,
    Input(ground): Input<Ground>,
) -> Result<Json<Person>, PeopleError> {
    let id = may(&app, &caller, &FREEZES, id)?;
    Ok(Json(
        turn(&app, &caller, id, Turn::back(Verb::Unfreeze, ground), None).await?,
    ))
}

/// Notes that somebody here has made sure who an account's owner is.
#[utoipa::path(
    post, path = "/v1/users/{id}/verify", operation_id = "verifyUser", tag = "users",
    params(("id" = Uuid, Path, description = "The account")),
    request_body = Ground,
    responses(
        (status = 200, description = "The account as it is now, masked", body = Person),
        (status = 403, description = "`forbidden`, `own_account`, `above_own_rights`, or `second_factor_required`"),
        (status = 404, description = "There is no such account (`not_found`)"),
    )
)]
pub(crate) async fn verify(
    State(app): State<Arc<App>>,
    Fresh(caller): Fresh,
    id: Result<Path<Uuid>, PathRejection>,
    Input(ground): Input<Ground>,
) -> Result<Json<Person>, PeopleError> {
    let id = may(&app, &caller, &[Permission::UsersModerate], id)?;
    let mut act = Acting::begin(&app, &caller, id).await?;
    store::verify(&mut act.tx, id, act.now).await?;
    act.end(Act::PersonVerified, &ground.into(), &[])
        .await
        .map(Json)
}

/// Takes every second factor from an account, for an owner who has lost theirs and has proven
/// themselves in another way to somebody here. Its sessions end, since one of them may be a thief's.
#[utoipa::path(
    post, path = "/v1/users/{id}/reset-mfa", operation_id = "resetUserMfa", tag = "users",
    params(("id" = Uuid, Path, description = "The account")),
    request_body = Ground,
    responses(
        (status = 200, description = "The account, masked", body = Person),
        (status = 403, description = "`forbidden`, `own_account`, `above_own_rights`, or `second_factor_required`"),
        (status = 404, description = "There is no such account (`not_found`)"),
    )
)]
pub(crate) async fn reset_mfa(
    State(app): State<Arc<App>>,
    Fresh(caller): Fresh,
    id: Result<Path<Uuid>, PathRejection>,
    Input(ground): Input<Ground>,
) -> Result<Json<Person>, PeopleError> {
    let id = may(&app, &caller, &[Permission::UsersModerate], id)?;
    let mut act = Acting::begin(&app, &caller, id).await?;
    store::remove_factors(&mut act.tx, id).await?;
    let what = Notice::SecondFactorRemoved;
    notice::tell(&mut act.tx, &act.account, what, None, act.now).await?;
    let revoked = act.end_sessions().await?;
    act.end(Act::FactorsReset, &ground.into(), &revoked)
        .await
        .map(Json)
}

/// Ends every session of an account. Its owner may sign in again.
#[utoipa::path(
    post, path = "/v1/users/{id}/revoke-sessions", operation_id = "revokeUserSessions", tag = "users",
    params(("id" = Uuid, Path, description = "The account")),
    request_body = Ground,
    responses(
        (status = 200, description = "The account, masked", body = Person),
        (status = 403, description = "`forbidden`, `own_account`, `above_own_rights`, or `second_factor_required`"),
        (status = 404, description = "There is no such account (`not_found`)"),
    )
)]
pub(crate) async fn revoke_sessions(
    State(app): State<Arc<App>>,
    Fresh(caller): Fresh,
    id: Result<Path<Uuid>, PathRejection>,
    Input(ground): Input<Ground>,
) -> Result<Json<Person>, PeopleError> {
    let id = may(&app, &caller, &FREEZES, id)?;
    let mut act = Acting::begin(&app, &caller, id).await?;
    let revoked = act.end_sessions().await?;
    act.end(Act::SessionsEnded, &ground.into(), &revoked)
        .await
        .map(Json)
}

/// Who may freeze, and do what is as easily undone.
const FREEZES: [Permission; 2] = [Permission::UsersFreeze, Permission::UsersModerate];

fn may(
    app: &App,
    caller: &Caller,
    permissions: &[Permission],
    id: Result<Path<Uuid>, PathRejection>,
) -> Result<Uuid, PeopleError> {
    app.rights.require_any(caller, permissions)?;
    let Path(id) = id.map_err(|_| PeopleError::NotFound)?;
    Ok(id)
}

/// Gives an account another standing, if it may be given that.
pub(super) async fn turn(
    app: &App,
    caller: &Caller,
    id: Uuid,
    turn: Turn,
    seen: Option<&Precondition>,
) -> Result<Person, PeopleError> {
    let mut act = Acting::begin(app, caller, id).await?;
    let now = act.now;
    if turn
        .until
        .is_some_and(|until| until <= now || until > now + MAX_TERM)
    {
        return Err(PeopleError::BadUntil);
    }
    if let Some(seen) = seen {
        let version = store::version(&mut act.tx, id).await?;
        seen.judge(Some(version)).map_err(PeopleError::Refused)?;
    }
    let before = act.account.standing(now);
    let refused = PeopleError::Standing(before, turn.verb.done());
    let is_given_up = erasure::is_noted(&mut act.tx, id).await?;
    let after = match turn.verb.from(before) {
        // Held up for as long as the ban, which so has no end of its own; not what others have deleted,
        // and where all is forgotten there is nothing to ban.
        Some(Standing::Banned) if is_given_up && turn.until.is_some() => {
            return Err(PeopleError::BadUntil);
        }
        Some(Standing::Banned) if before == Standing::Deleted => {
            let is_held = erasure::hold_up(&mut act.tx, id).await?;
            is_held.then_some(Standing::Banned)
        }
        // What its owner has asked for goes on.
        Some(Standing::Active) if is_given_up => Some(Standing::Deleted),
        after => after,
    };
    let after = after.ok_or(refused)?;
    if after != Standing::Active {
        rights::last_admin(&mut act.tx, id, now).await?;
    }
    let put = store::Put {
        standing: after,
        words: &turn.words,
        until: turn.until,
    };
    store::put_standing(&mut act.tx, id, &put).await?;
    announce(&mut act.tx, &act.account, after, turn.until).await?;
    if let Some(what) = turn.verb.notice().filter(|_| after != Standing::Deleted) {
        let reason = turn.words.reason.as_deref();
        notice::tell(&mut act.tx, &act.account, what, reason, now).await?;
    }
    let mut revoked = vec![Revoked::Subject(id)];
    if after == Standing::Deleted {
        revoked.extend(erasure::schedule(&mut act.tx, &act.account, None, now).await?);
    }
    if matches!(after, Standing::Banned | Standing::Deleted) {
        revoked.extend(end_all(&mut act.tx, id, None, End::Standing, now).await?);
    }
    act.end(turn.verb.act(), &turn.words, &revoked).await
}

/// Tells the other apps what an account is good for from now on.
pub(crate) async fn announce(
    tx: &mut PgConnection,
    account: &Account,
    standing: Standing,
    until: Option<OffsetDateTime>,
) -> Result<(), sqlx::Error> {
    let changed = StandingChanged {
        user_id: account.id,
        standing: standing.name().to_owned(),
        until,
    };
    pg::outbox::publish(tx, SCHEMA, &changed).await?;
    Ok(())
}

/// Somebody who does something to an account, in the transaction in which it was judged that they
/// may.
struct Acting<'a> {
    caller: &'a Caller,
    account: Account,
    now: OffsetDateTime,
    tx: Transaction<'static, Postgres>,
}

impl<'a> Acting<'a> {
    async fn begin(app: &'a App, caller: &'a Caller, id: Uuid) -> Result<Self, PeopleError> {
        if id == caller.user_id {
            return Err(PeopleError::Own);
        }
        let mut tx = app.pool.begin().await?;
        let granter = rights::begin_change(&mut tx, caller, app.clock.now()).await?;
        let account = account::store::hold(&mut tx, id).await?;
        let account = account.ok_or(PeopleError::NotFound)?;
        // Behind the locks: what was issued while we waited for them is from before.
        let now = app.clock.now();
        granter.covers(&account.roles_given)?;
        Ok(Self {
            caller,
            account,
            now,
            tx,
        })
    }

    /// Ends the account's sessions; gives what is to be revoked with them.
    async fn end_sessions(&mut self) -> Result<Vec<Revoked>, sqlx::Error> {
        let id = self.account.id;
        let mut revoked = end_all(&mut self.tx, id, None, End::Standing, self.now).await?;
        revoked.push(Revoked::Subject(id));
        Ok(revoked)
    }

    /// Writes it down, commits it, and shows the account as it is then.
    async fn end(
        mut self,
        act: Act,
        words: &Words,
        revoked: &[Revoked],
    ) -> Result<Person, PeopleError> {
        let id = self.account.id;
        let mut entry = Entry::new(act, id)
            .by(self.caller.user_id)
            .session(self.caller.sid);
        for (what, text) in [("reason", &words.reason), ("note", &words.note)] {
            if let Some(text) = text {
                entry = entry.say(what, text.as_str());
            }
        }
        entry.record(&mut self.tx, self.now).await?;
        let person = store::by_id(&mut *self.tx, id, self.now).await?;
        revocation::revoke(&mut self.tx, revoked, self.now).await?;
        self.tx.commit().await?;
        let user_id = self.caller.user_id;
        tracing::info!(%user_id, account_id = %id, act = act.name(), "somebody was seen to");
        Ok(person.ok_or(PeopleError::NotFound)?.mask())
    }
}
