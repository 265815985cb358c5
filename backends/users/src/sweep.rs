//! Throws away what has no meaning any more: codes that nobody brought back, budgets that are whole
//! again, sign-ins that nobody came back from, devices that are long gone, tokens and sessions past
//! their time, notes about strangers, revocations of what is void by itself. Nothing depends on it,
//! since every reader looks at the clock itself.

mod store;

use sqlx::PgPool;
use time::{Duration, OffsetDateTime};

use crate::{
    api_key, budget, challenge, contact_change, device, export, mfa, oauth, passkey, revocation,
    social,
};

/// How long sign-ins to no account are kept: long enough to look into a wave of them.
const STRANGERS_KEPT: Duration = Duration::weeks(1);

/// Rows per statement, so that no sweep holds locks for long.
const BATCH: i64 = 1000;

/// Sweeps until nothing is left.
pub(crate) async fn sweep(pool: &PgPool, now: OffsetDateTime) -> Result<(), sqlx::Error> {
    while challenge::sweep(pool, now - challenge::RENEWABLE, BATCH).await? == BATCH as u64 {}
    while contact_change::store::sweep(pool, now, BATCH).await? == BATCH as u64 {}
    while mfa::sweep(pool, now, BATCH).await? == BATCH as u64 {}
    while social::sweep(pool, now, BATCH).await? == BATCH as u64 {}
    while budget::sweep(pool, now, BATCH).await? == BATCH as u64 {}
    while device::sweep(pool, now - device::FORGOTTEN_AFTER, BATCH).await? == BATCH as u64 {}
    while export::sweep(pool, now, BATCH).await? == BATCH as u64 {}
    while store::strangers(pool, now - STRANGERS_KEPT, BATCH).await? == BATCH as u64 {}
    while store::refresh_tokens(pool, now, BATCH).await? == BATCH as u64 {}
    while store::sessions(pool, now, BATCH).await? == BATCH as u64 {}
    while oauth::sweep(pool, now, BATCH).await? == BATCH as u64 {}
    while revocation::sweep(pool, now, BATCH).await? == BATCH as u64 {}
    while store::api_keys(pool, now, BATCH).await? == BATCH as u64 {}
    while store::api_key_secrets(pool, now, BATCH).await? == BATCH as u64 {}
    while store::api_key_wishes(pool, now - api_key::wish::KEPT, BATCH).await? == BATCH as u64 {}
    while passkey::sweep(pool, now, BATCH).await? == BATCH as u64 {}
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_past_its_time_goes_and_nothing_else() {
        let database = pg::testing::database(crate::MIGRATIONS).await;
        let pool = &database.pool;
        let now = OffsetDateTime::from_unix_timestamp(1_800_000_000).expect("a time");
        for statement in [
            "insert into users.account values
                ('00000000-0000-0000-0000-000000000001', 'ann@example.com', null, 1, $1)",
            "insert into users.session
                (id, account_id, proven, created_at, authenticated_at, last_seen_at, expires_at) values
                ('00000000-0000-0000-0000-0000000000a1', '00000000-0000-0000-0000-000000000001',
                    '{}', $1, $1, $1, $1),
                ('00000000-0000-0000-0000-0000000000a2', '00000000-0000-0000-0000-000000000001',
                    '{}', $1, $1, $1, $1 + interval '1 s')",
            "insert into users.refresh_token (hash, session_id, expires_at) values
                ('\\x01', '00000000-0000-0000-0000-0000000000a1', $1 + interval '1 s'),
                ('\\x02', '00000000-0000-0000-0000-0000000000a2', $1),
                ('\\x03', '00000000-0000-0000-0000-0000000000a2', $1 + interval '1 s')",
            "insert into users.challenge
                (flow_id, purpose, channel, contact, sends, tries_left, state, expires_at)
            select gen_random_uuid(), 'sign_in', 'email', contact, 'nothing', 5, '{}',
                $1 - interval '1 h' + more
            from (values ('void', interval '0'), ('renewable', '1 s')) as wish (contact, more)",
            "insert into users.pending_login
                (token_hash, account_id, act, proven, state, user_agent, tries_left, expires_at)
            select sha256(name::bytea), '00000000-0000-0000-0000-000000000001', 'sign_in', '{}', '{}',
                name, 5, $1 + more
            from (values ('given up', interval '0'), ('waiting', '1 s')) as pending (name, more)",
            "insert into users.undo (token_hash, account_id, channel, previous, created_at, expires_at)
            select sha256(name::bytea), '00000000-0000-0000-0000-000000000001', 'email', name, $1, $1 + more
            from (values ('old address', interval '0'), ('undoable', '1 s')) as undo (name, more)",
            "insert into users.budget (key, spent_until) values
                ('\\x0a', $1), ('\\x0b', $1 + interval '1 s')",
            "insert into users.device (id, account_id, hash, user_agent, created_at, last_seen_at)
            select gen_random_uuid(), '00000000-0000-0000-0000-000000000001', sha256(name::bytea),
                name, $1, $1 - interval '400 d' + more
            from (values ('old phone', interval '0'), ('phone', '1 s')) as device (name, more)",
            "insert into users.stranger (at, request_id) values
                ($1 - interval '7 d', 'old'), ($1 - interval '7 d' + interval '1 s', 'a stranger')",
            "insert into users.api_key
                (id, account_id, name, scopes, networks, created_at, expires_at)
            select gen_random_uuid(), '00000000-0000-0000-0000-000000000001', name, '{}', '{}', $1, ends
            from (values ('old key', $1), ('key', $1 + interval '1 s'), ('lasting key', null))
                as key (name, ends)",
            "insert into users.api_key_secret (id, hash, api_key_id, issued_at, ends_at)
            select gen_random_uuid(), sha256(name::bytea), id, $1, ends
            from users.api_key, (values (null), ($1), ($1 + interval '1 s')) as secret (ends)
            where name = 'lasting key'",
            "insert into users.api_key_wish
                (account_id, key_hash, fingerprint, salt, secret_hash, answer, created_at)
            select '00000000-0000-0000-0000-000000000001', sha256(name::bytea), sha256(''),
                sha256(''), sha256(''), to_jsonb(name), $1 - interval '24 h' + more
            from (values ('old wish', interval '0'), ('wish', '1 s')) as wish (name, more)",
            "insert into users.passkey_ceremony (challenge, aim, expires_at)
            select sha256(name::bytea), 'sign_in', $1 + more
            from (values ('old', interval '0'), ('live', '1 s')) as ceremony (name, more)",
        ] {
            sqlx::query(statement)
                .bind(now)
                .execute(pool)
                .await
                .expect(statement);
        }

        sweep(pool, now).await.expect("swept");
        let left = "select string_agg(what, ', ' order by what) from (
            select contact as what from users.challenge
            union all select user_agent from users.pending_login
            union all select 'budget ' || key::text from users.budget
            union all select user_agent from users.device
            union all select previous from users.undo
            union all select request_id from users.stranger
            union all select right(id::text, 2) from users.session
            union all select hash::text from users.refresh_token
            union all select name from users.api_key
            union all select 'secret' from users.api_key_secret
            union all select answer #>> '{}' from users.api_key_wish
            union all select 'live challenge' from users.passkey_ceremony
                where challenge = sha256('live')
            union all select 'old challenge' from users.passkey_ceremony
                where challenge = sha256('old')
        ) as left_over";
        let left: String = sqlx::query_scalar(left)
            .fetch_one(pool)
            .await
            .expect("rows");
        assert_eq!(
            left,
            "\\x03, a stranger, a2, budget \\x0b, key, lasting key, live challenge, phone, renewable, secret, secret, undoable, waiting, wish"
        );

        sweep(pool, now + Duration::SECOND).await.expect("swept");
        let accounts = "select count(*) from users.account";
        let accounts: i64 = sqlx::query_scalar(accounts)
            .fetch_one(pool)
            .await
            .expect("a count");
        assert_eq!(accounts, 1, "accounts are for ever");
    }

    #[tokio::test]
    async fn more_than_one_batch_goes_in_one_sweep() {
        let database = pg::testing::database(crate::MIGRATIONS).await;
        let pool = &database.pool;
        let now = OffsetDateTime::from_unix_timestamp(1_800_000_000).expect("a time");
        let many = "insert into users.challenge
                (flow_id, purpose, channel, contact, sends, tries_left, state, expires_at)
            select gen_random_uuid(), 'sign_in', 'email', n::text, 'nothing', 5, '{}', $1 - interval '1 h'
            from generate_series(1, 2500) n";
        sqlx::query(many).bind(now).execute(pool).await.expect(many);
        sweep(pool, now).await.expect("swept");
        let left = "select count(*) from users.challenge";
        let left: i64 = sqlx::query_scalar(left)
            .fetch_one(pool)
            .await
            .expect("a count");
        assert_eq!(left, 0);
    }
}
