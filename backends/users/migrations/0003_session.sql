-- Sessions, and the refresh tokens that keep them alive. A session is a family of tokens, each the
-- successor of one that was spent; only hashes are kept.

create table users.session (
    id uuid constraint session_pkey primary key,
    account_id uuid not null constraint session_account_fkey references users.account (id) on delete cascade,
    -- How the person proved who they are (RFC 8176 names).
    amr text[] not null,
    created_at timestamptz not null,
    -- The day after which no refresh prolongs it any more.
    expires_at timestamptz not null,
    ended_at timestamptz,
    end_reason text constraint session_end_reason_check check (end_reason in ('logout', 'token_reuse')),
    constraint session_end_check check ((ended_at is null) = (end_reason is null))
);

create index session_account_idx on users.session (account_id);
create index session_expiry_idx on users.session (expires_at);

create table users.refresh_token (
    -- SHA-256 of the token: 256 random bits need no salt.
    hash bytea constraint refresh_token_pkey primary key,
    session_id uuid not null constraint refresh_token_session_fkey references users.session (id) on delete cascade,
    expires_at timestamptz not null,
    -- Spent tokens stay until they expire, so that a stolen one is recognised.
    spent_at timestamptz
);

create index refresh_token_session_idx on users.refresh_token (session_id);
create index refresh_token_expiry_idx on users.refresh_token (expires_at);
