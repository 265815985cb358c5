-- What proves a person beside their first proof, and where they do it from.

-- Devices that somebody has signed in from. The token is no credential: it keeps its owner out of
-- the limits that strangers fill, and tells a new device from a known one.
create table users.device (
    id uuid constraint device_pkey primary key,
    account_id uuid not null constraint device_account_fkey references users.account (id) on delete cascade,
    -- SHA-256 of the token: 256 random bits need no salt.
    hash bytea not null constraint device_hash_key unique,
    user_agent text,
    created_at timestamptz not null,
    last_seen_at timestamptz not null
);

create index device_account_idx on users.device (account_id, last_seen_at);
-- Serves the sweeping.
create index device_seen_idx on users.device (last_seen_at);

alter table users.session rename column amr to proven;
-- The names are ours now, since RFC 8176 has one for a code from an app and a code from a mail.
update users.session set proven = array_replace(proven, 'pwd', 'password');
alter table users.session
    -- When the last of it was proven: tokens tell it as `auth_time`.
    add column authenticated_at timestamptz,
    add column device_id uuid constraint session_device_fkey references users.device (id) on delete set null,
    add column ip inet,
    add column user_agent text,
    add column last_seen_at timestamptz;
update users.session set authenticated_at = created_at, last_seen_at = created_at;
alter table users.session
    alter column authenticated_at set not null,
    alter column last_seen_at set not null;

alter table users.session drop constraint session_end_reason_check;
alter table users.session add constraint session_end_reason_check check (end_reason in
    ('logout', 'logout_all', 'token_reuse', 'revoked', 'password', 'contact', 'standing', 'erasure')) not valid;
alter table users.session validate constraint session_end_reason_check;

create table users.second_factor (
    id uuid constraint second_factor_pkey primary key,
    account_id uuid not null constraint second_factor_account_fkey references users.account (id) on delete cascade,
    kind text not null constraint second_factor_kind_check check (kind in ('totp', 'sms', 'email')),
    name text not null constraint second_factor_name_check check (char_length(name) between 1 and 64),
    -- Of an authenticator app, sealed under a key of ours: it must be readable to be compared with.
    secret bytea constraint second_factor_secret_check check ((kind = 'totp') = (secret is not null)),
    -- The last time step whose code was taken: none is taken twice (RFC 6238 §5.2).
    last_step bigint,
    created_at timestamptz not null,
    -- Null until its first code has come back.
    confirmed_at timestamptz,
    last_used_at timestamptz
);

create index second_factor_account_idx on users.second_factor (account_id, id);
-- A phone and a mailbox count once each.
create unique index second_factor_message_key on users.second_factor (account_id, kind) where kind <> 'totp';

-- Codes on paper, for when all else is lost. HMAC of account and code.
create table users.recovery_code (
    account_id uuid not null constraint recovery_code_account_fkey references users.account (id) on delete cascade,
    hash bytea not null,
    spent_at timestamptz,
    constraint recovery_code_pkey primary key (account_id, hash)
);

-- Failures in a row with one factor of one account, from one known device or from anywhere else. At
-- 100 the factor is no longer taken from there (NIST SP 800-63B §5.2.2); others are.
create table users.factor_failure (
    account_id uuid not null constraint factor_failure_account_fkey references users.account (id) on delete cascade,
    factor text not null,
    -- A device of the account's; all zeros for anywhere else.
    device_id uuid not null,
    failures smallint not null,
    constraint factor_failure_pkey primary key (account_id, factor, device_id)
);

-- Sign-ins, and other acts, that wait for a second factor.
create table users.pending_login (
    -- SHA-256 of the token that goes on with it.
    token_hash bytea constraint pending_login_pkey primary key,
    account_id uuid not null constraint pending_login_account_fkey references users.account (id) on delete cascade,
    -- What it ends in.
    act text not null constraint pending_login_act_check check (act in ('sign_in', 'reset_password')),
    proven text[] not null,
    -- What it is done with: the hash of a new password, say.
    state jsonb not null,
    -- It goes on where it was begun.
    user_agent text,
    tries_left smallint not null constraint pending_login_tries_check check (tries_left >= 0),
    expires_at timestamptz not null
);

create index pending_login_account_idx on users.pending_login (account_id);
create index pending_login_expiry_idx on users.pending_login (expires_at);
