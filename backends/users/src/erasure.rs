//! Being forgotten: `DELETE /v1/me`, and `POST /v1/auth/restore` for who thinks better of it, or was
//! not the one who asked.
//!
//! The account shuts at once: nobody gets in, what was signed in is out, keys are void. For [`GRACE`]
//! it can be had back with the token of the mail. Then a [`job`] forgets the person. Three things
//! stay: the account's row as an id without a person, since money that was moved points at it; the
//! acts of the record, without their particulars; and what other apps keep by law. They are told by
//! `users.erased`.

mod store;

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use events::{Channel, Notice, UserErased};
use host::Job;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use sqlx::{PgConnection, PgPool};
use thiserror::Error;
use time::{Duration, OffsetDateTime};
use utoipa::ToSchema;
use uuid::Uuid;
use web::{Input, Problem};

pub(crate) use store::{hold_up, is_noted};

use crate::{
    App, SCHEMA,
    account::{self, Account, Standing},
    api_key,
    audit::{self, Act, Entry, hex},
    client::Client,
    notice,
    people::moderate,
    revocation::{self, Revoked},
    rights::{self, LastAdmin},
    session::{self, End},
    step_up::Fresh,
};

/// How long it can be undone.
const GRACE: Duration = Duration::days(30);

/// An erasure that is due.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Erasure {
    /// Until then it can be undone.
    #[serde(with = "time::serde::rfc3339")]
    due_at: OffsetDateTime,
    /// Undoes it (`restoreAccount`). It does nothing else, and is in the mail as well.
    undo_token: String,
}

/// What undoes an erasure.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Undo {
    #[schema(max_length = 64)]
    undo_token: String,
}

/// Why an account is not given up, or not had back.
#[derive(Debug, Error)]
pub(crate) enum ErasureError {
    #[error("the caller's account is gone")]
    Gone,
    #[error("an account that is frozen is not given up")]
    Frozen,
    #[error(transparent)]
    LastAdmin(#[from] LastAdmin),
    #[error("the token undoes nothing, or no longer")]
    InvalidLink,
    #[error("drawing a token")]
    Randomness(#[from] getrandom::Error),
    #[error("forgetting somebody")]
    Store(#[from] sqlx::Error),
}

/// Gives the caller's account up. It shuts at once, and the person is forgotten after 30 days, unless
/// somebody brings the token that was mailed to every contact of theirs.
#[utoipa::path(
    delete, path = "/v1/me", operation_id = "eraseMe", tag = "me",
    responses(
        (status = 202, description = "The account is shut, and will be forgotten", body = Erasure),
        (status = 403, description = "The caller has to prove themselves anew (`second_factor_required`)"),
        (status = 409, description = "`account_frozen`, or `last_admin`: somebody must stay who runs the place"),
    )
)]
pub(crate) async fn erase_me(
    State(app): State<Arc<App>>,
    Fresh(caller): Fresh,
    client: Client,
) -> Result<(StatusCode, Json<Erasure>), ErasureError> {
    let now = app.clock.now();
    let due_at = now + GRACE;
    let undo_token = draw()?;
    let mut tx = app.pool.begin().await?;
    let account = shut(&mut tx, caller.user_id, now).await?;
    let keys = schedule(&mut tx, &account, Some(&undo_token), now).await?;
    let mut void = session::end_all(&mut tx, account.id, None, End::Erasure, now).await?;
    void.extend(keys);
    void.push(Revoked::Subject(account.id));
    Entry::new(Act::ErasureAsked, account.id)
        .session(caller.sid)
        .from(&client)
        .record(&mut tx, now)
        .await?;
    revocation::revoke(&mut tx, &void, now).await?;
    tx.commit().await?;
    tracing::info!(user_id = %account.id, "an account was given up");
    Ok((StatusCode::ACCEPTED, Json(Erasure { due_at, undo_token })))
}

/// Sees to it that the person behind an account that is shut will be forgotten, and that they hear of it
/// wherever they are reached. Ends the keys for programs, and gives them to be revoked. Without a token
/// it can't be undone.
pub(crate) async fn schedule(
    tx: &mut PgConnection,
    account: &Account,
    undo_token: Option<&str>,
    now: OffsetDateTime,
) -> Result<Vec<Revoked>, sqlx::Error> {
    let undo_hash = undo_token.map(hash);
    store::begin(tx, account.id, now, now + GRACE, undo_hash.as_deref()).await?;
    for contact in [account.mailbox(), account.number()].into_iter().flatten() {
        let is_mail = contact.channel() == Channel::Email;
        let link = undo_token
            .filter(|_| is_mail)
            .map(|token| format!("/auth/keep-account?token={token}"));
        let what = Notice::ErasureDue;
        notice::tell_at(tx, account, &contact, what, None, link, now).await?;
    }
    api_key::end_all(tx, account.id).await
}

/// Shuts an active account; gives it as it was.
async fn shut(
    tx: &mut PgConnection,
    id: Uuid,
    now: OffsetDateTime,
) -> Result<Account, ErasureError> {
    // First, since it is the first lock that such a transaction takes.
    rights::last_admin(tx, id, now).await?;
    let account = account::store::hold(tx, id).await?;
    let account = account.ok_or(ErasureError::Gone)?;
    match account.standing(now) {
        Standing::Active => {}
        Standing::Frozen => return Err(ErasureError::Frozen),
        Standing::Banned | Standing::Deleted => return Err(ErasureError::Gone),
    }
    store::shut(tx, id).await?;
    moderate::announce(tx, &account, Standing::Deleted, None).await?;
    Ok(account)
}

/// Has an account back that was given up. It signs nobody in; its keys for programs stay void.
#[utoipa::path(
    post, path = "/v1/auth/restore", operation_id = "restoreAccount", tag = "auth",
    request_body = Undo,
    responses(
        (status = 204, description = "The account is as it was"),
        (status = 400, description = "The token undoes nothing, or no longer (`invalid_link`)"),
    )
)]
pub(crate) async fn restore(
    State(app): State<Arc<App>>,
    client: Client,
    Input(Undo { undo_token }): Input<Undo>,
) -> Result<StatusCode, ErasureError> {
    undo(&app, &undo_token, &client).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Has the account back that a token is for.
pub(crate) async fn undo(app: &App, undo_token: &str, client: &Client) -> Result<(), ErasureError> {
    let now = app.clock.now();
    let mut tx = app.pool.begin().await?;
    let undo_hash = hash(undo_token);
    let owner = store::undone_by(&mut tx, &undo_hash).await?;
    let account_id = owner.ok_or(ErasureError::InvalidLink)?;
    let account = account::store::hold(&mut tx, account_id).await?;
    let account = account.ok_or(ErasureError::Gone)?;
    // It may have been banned, or forgotten, while we waited.
    if !store::undo(&mut tx, &undo_hash, now).await? {
        return Err(ErasureError::InvalidLink);
    }
    store::open(&mut tx, account_id).await?;
    moderate::announce(&mut tx, &account, Standing::Active, None).await?;
    notice::tell(&mut tx, &account, Notice::Restored, None, now).await?;
    Entry::new(Act::ErasureUndone, account_id)
        .from(client)
        .record(&mut tx, now)
        .await?;
    tx.commit().await?;
    Ok(())
}

/// Forgets those whose time has come.
pub(crate) fn job(app: Arc<App>) -> Job {
    Job {
        name: "erasure",
        every: std::time::Duration::from_secs(10 * 60),
        limit: std::time::Duration::from_secs(10 * 60),
        run: Arc::new(move || {
            let app = app.clone();
            Box::pin(async move { Ok(forget_due(&app.pool, app.clock.now()).await?) })
        }),
    }
}

/// Forgets them one by one, each in a commit of its own.
pub(crate) async fn forget_due(pool: &PgPool, now: OffsetDateTime) -> Result<(), sqlx::Error> {
    loop {
        let mut tx = pool.begin().await?;
        let Some(account_id) = store::due(&mut tx, now).await? else {
            return Ok(());
        };
        let account = account::store::hold(&mut tx, account_id).await?;
        // Another replica may have been faster, or somebody has called it off.
        if store::call_off(&mut tx, account_id).await?
            && let Some(account) = account
        {
            forget(&mut tx, &account, now).await?;
            tracing::info!(user_id = %account_id, "an account is being erased");
        }
        tx.commit().await?;
    }
}

async fn forget(
    tx: &mut PgConnection,
    account: &Account,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    let contacts = [account.mailbox(), account.number()];
    let contacts: Vec<String> = contacts
        .iter()
        .flatten()
        .map(|contact| contact.as_str().to_owned())
        .collect();
    store::forget_belongings(tx, account.id).await?;
    store::forget_challenges(tx, &contacts).await?;
    store::forget_particulars(tx, account.id).await?;
    store::forget_events(tx, account.id, &contacts).await?;
    store::empty(tx, account.id, now).await?;
    audit::record(tx, now, Act::Erased, account.id, None).await?;
    let erased = UserErased {
        user_id: account.id,
        addresses: contacts
            .iter()
            .map(|contact| hex(&Sha256::digest(format!("{}{contact}", account.id))))
            .collect(),
    };
    pg::outbox::publish(tx, SCHEMA, &erased).await?;
    Ok(())
}

fn draw() -> Result<String, getrandom::Error> {
    let mut bits = [0; 32];
    getrandom::fill(&mut bits)?;
    Ok(BASE64_URL_SAFE_NO_PAD.encode(bits))
}

fn hash(token: &str) -> Vec<u8> {
    Sha256::digest(token).to_vec()
}

impl From<ErasureError> for Problem {
    fn from(error: ErasureError) -> Self {
        match error {
            ErasureError::Gone => Problem::unauthenticated(),
            ErasureError::Frozen => Problem::new(
                StatusCode::CONFLICT,
                "account_frozen",
                "This account is frozen",
            ),
            ErasureError::LastAdmin(error) => error.into(),
            ErasureError::InvalidLink => Problem::new(
                StatusCode::BAD_REQUEST,
                "invalid_link",
                "The token undoes nothing, or no longer",
            ),
            ErasureError::Randomness(_) | ErasureError::Store(_) => Problem::internal(error),
        }
    }
}

impl IntoResponse for ErasureError {
    fn into_response(self) -> Response {
        Problem::from(self).into_response()
    }
}

#[cfg(test)]
mod tests {
    use sqlx::AssertSqlSafe;

    use super::*;
    use crate::audit::proof;

    const ANN: Uuid = Uuid::from_u128(0xa);
    const BOB: Uuid = Uuid::from_u128(0xb);
    /// What is Annabel's and nobody else's.
    const TRACES: [&str; 6] = [
        "annabel@example.com",
        "+14155550123",
        "Annabel",
        "203.0.113.77",
        "Netscape",
        "a-hash-of-hers",
    ];

    fn now() -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp(1_800_000_000).expect("a time")
    }

    async fn execute(pool: &PgPool, sql: &str) {
        let done = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))
            .execute(pool)
            .await;
        done.expect(sql);
    }

    /// Two people, of whom everything is known that can be known.
    async fn people(pool: &PgPool) {
        for (id, email, phone, name, ip) in [
            (
                ANN,
                "annabel@example.com",
                "+14155550123",
                "Annabel",
                "203.0.113.77",
            ),
            (
                BOB,
                "bob@example.com",
                "+14155550199",
                "Robert",
                "203.0.113.78",
            ),
        ] {
            let user_agent = if id == ANN { "Netscape" } else { "Mosaic" };
            let sql = format!(
                "insert into users.account (id, email, phone, name, password_hash, created_at)
                values ('{id}', '{email}', '{phone}', '{name}', '{}', now());
                insert into users.account_role values ('{id}', 'user', now());
                insert into users.device (id, account_id, hash, user_agent, created_at, last_seen_at)
                values ('{id}', '{id}', sha256('{id}'), '{user_agent}', now(), now());
                insert into users.session (id, account_id, proven, created_at, authenticated_at,
                    last_seen_at, expires_at, device_id, ip, user_agent)
                values ('{id}', '{id}', '{{password}}', now(), now(), now(), now(), '{id}', '{ip}',
                    '{user_agent}');
                insert into users.refresh_token (hash, session_id, expires_at)
                values (sha256('{id}'), '{id}', now());
                insert into users.second_factor (id, account_id, kind, name, created_at)
                values ('{id}', '{id}', 'sms', 'The phone of {name}', now());
                insert into users.recovery_code (account_id, hash) values ('{id}', '');
                insert into users.challenge
                    (flow_id, purpose, channel, contact, account_id, sends, tries_left, state, expires_at)
                values
                    (gen_random_uuid(), 'sign_in', 'sms', '{phone}', '{id}', 'nothing', 5, '{{}}', now()),
                    (gen_random_uuid(), 'sign_in', 'email', '{email}', null, 'nothing', 5, '{{}}', now());
                insert into users.pending_login
                    (token_hash, account_id, act, proven, state, user_agent, tries_left, expires_at)
                values (sha256('{id}'), '{id}', 'sign_in', '{{}}', '{{}}', '{user_agent}', 5, now());
                insert into users.api_key (id, account_id, name, scopes, networks, created_at)
                values ('{id}', '{id}', 'A key of {name}', '{{}}', '{{{ip}/32}}', now());
                insert into users.export (id, account_id, asked_at, expires_at)
                values ('{id}', '{id}', now(), now());
                insert into users.outbox (id, topic, key, payload) values
                    (gen_random_uuid(), 'users.code_issued', '{email}', '{{\"to\": \"{email}\"}}'),
                    (gen_random_uuid(), 'users.security_notice', '{id}', '{{\"to\": \"{phone}\"}}');",
                if id == ANN { "a-hash-of-hers" } else { "a-hash-of-his" },
            );
            execute(pool, &sql).await;
            let mut tx = pool.begin().await.expect("a transaction");
            let client = Client {
                ip: ip.parse().ok(),
                user_agent: Some(user_agent.to_owned()),
                ..Client::default()
            };
            for other in [ANN, BOB] {
                Entry::new(Act::SignedIn, other)
                    .by(id)
                    .from(&client)
                    .record(&mut tx, now())
                    .await
                    .expect("an act");
            }
            tx.commit().await.expect("committed");
        }
    }

    /// Every row of the schema as text.
    async fn everything(pool: &PgPool) -> String {
        let tables = "select tablename::text from pg_tables where schemaname = 'users'";
        let tables: Vec<String> = sqlx::query_scalar(tables)
            .fetch_all(pool)
            .await
            .expect("tables");
        let mut rows = Vec::new();
        for table in tables {
            let sql = format!("select row::text from users.{table} row");
            let sql = sqlx::query_scalar::<_, String>(AssertSqlSafe(sql));
            rows.extend(sql.fetch_all(pool).await.expect("rows"));
        }
        rows.join("\n")
    }

    #[tokio::test]
    async fn nothing_of_a_person_is_left_and_the_record_still_holds() {
        let database = pg::testing::database(crate::MIGRATIONS).await;
        let pool = &database.pool;
        people(pool).await;
        let before = everything(pool).await;
        for trace in TRACES {
            assert!(before.contains(trace), "the test knows of {trace}");
        }
        execute(
            pool,
            &format!(
                "update users.account set standing = 'deleted' where id = '{ANN}';
                insert into users.erasure (account_id, asked_at, due_at, undo_hash)
                values ('{ANN}', now(), to_timestamp(1800000000), '')"
            ),
        )
        .await;
        let second = Duration::SECOND;
        forget_due(pool, now() - second).await.expect("not yet");
        assert!(everything(pool).await.contains("Annabel"));

        forget_due(pool, now()).await.expect("forgotten");
        let left = everything(pool).await;
        for trace in TRACES {
            assert!(!left.contains(trace), "{trace} is left");
        }
        for trace in ["bob@example.com", "Robert", "Mosaic", "A key of Robert"] {
            assert!(left.contains(trace), "{trace} is somebody else's");
        }
        let of = |sql: &'static str| sqlx::query_scalar::<_, i64>(sql).fetch_one(pool);
        let acts = "select count(*) from users.audit";
        assert_eq!(of(acts).await.expect("acts"), 5, "what was done stays");
        let details = "select count(*) from users.audit_detail";
        assert_eq!(of(details).await.expect("details"), 1, "of Bob by himself");
        let row = "select count(*) from users.account
            where id = '00000000-0000-0000-0000-00000000000a' and erased_at is not null";
        assert_eq!(of(row).await.expect("a row"), 1, "others point at it");
        let (broken, erased) = proof::judged(pool).await.expect("judged");
        assert_eq!((broken, erased), (None, 3));

        let told = "select payload from users.outbox where topic = 'users.erased'";
        let told: serde_json::Value = sqlx::query_scalar(told)
            .fetch_one(pool)
            .await
            .expect("told");
        assert_eq!(told["user_id"], ANN.to_string());
        let hash = Sha256::digest(format!("{ANN}annabel@example.com"));
        assert_eq!(told["addresses"][0], hex(&hash));
        assert_eq!(told["addresses"].as_array().map(Vec::len), Some(2));

        let anew = format!(
            "insert into users.account (id, email, phone, created_at)
            values (gen_random_uuid(), '{}', '{}', now())",
            TRACES[0], TRACES[1]
        );
        execute(pool, &anew).await;
    }

    /// Rows that point at an account in another way would outlive their person.
    #[tokio::test]
    async fn whatever_points_at_an_account_is_forgotten_with_it() {
        let database = pg::testing::database(crate::MIGRATIONS).await;
        let others = "select conname::text from pg_constraint
            where contype = 'f' and confrelid = 'users.account'::regclass and confdeltype <> 'c'";
        let others: Vec<String> = sqlx::query_scalar(others)
            .fetch_all(&database.pool)
            .await
            .expect("keys");
        assert_eq!(others, Vec::<String>::new(), "`on delete cascade`");
        let loose = "select c.relname::text from pg_attribute a
            join pg_class c on c.oid = a.attrelid and c.relkind = 'r'
            join pg_namespace n on n.oid = c.relnamespace and n.nspname = 'users'
            where a.attname = 'account_id' and c.relname <> 'audit' and not exists (
                select from pg_constraint k where k.conrelid = c.oid and k.contype = 'f'
                    and k.confrelid = 'users.account'::regclass and a.attnum = any (k.conkey))";
        let loose: Vec<String> = sqlx::query_scalar(loose)
            .fetch_all(&database.pool)
            .await
            .expect("tables");
        assert_eq!(loose, Vec::<String>::new(), "the record alone outlives it");
    }
}
