-- Programs that act for themselves: clients in the words of OAuth. They prove who they are by a
-- secret or a key of theirs, and are given tokens that say what they may.

create table users.service_account (
    -- Also its `client_id`, and the `sub` of its tokens.
    id uuid constraint service_account_pkey primary key,
    name text not null constraint service_account_name_key unique
        constraint service_account_name_check check (char_length(name) between 1 and 64),
    -- Whether it may ask what the tokens of others are worth, as those do who serve by them.
    introspects boolean not null,
    created_at timestamptz not null
);

-- What it may ask for. What is no longer there can't be had by anybody.
create table users.service_account_scope (
    service_account_id uuid not null constraint service_account_scope_account_fkey
        references users.service_account (id) on delete cascade,
    scope text not null constraint service_account_scope_scope_fkey
        references users.scope (name) on delete cascade,
    constraint service_account_scope_pkey primary key (service_account_id, scope)
);

create table users.service_account_role (
    service_account_id uuid not null constraint service_account_role_account_fkey
        references users.service_account (id) on delete cascade,
    role text not null constraint service_account_role_role_fkey
        references users.role (name) on delete cascade,
    constraint service_account_role_pkey primary key (service_account_id, role)
);

-- What it proves itself by: a secret of 256 random bits, of which the SHA-256 is kept, or the public
-- half of a key of its own.
create table users.service_account_key (
    id uuid constraint service_account_key_pkey primary key,
    service_account_id uuid not null constraint service_account_key_account_fkey
        references users.service_account (id) on delete cascade,
    secret_hash bytea constraint service_account_key_secret_check check (octet_length(secret_hash) = 32),
    jwk jsonb,
    created_at timestamptz not null,
    expires_at timestamptz,
    constraint service_account_key_kind_check check ((secret_hash is null) <> (jwk is null))
);

create index service_account_key_account_idx on users.service_account_key (service_account_id, id);

-- Assertions that were taken, so that none is taken twice (RFC 7523 §3, `jti`).
create table users.client_assertion (
    -- SHA-256 of whose it is and its `jti`.
    hash bytea constraint client_assertion_pkey primary key,
    expires_at timestamptz not null
);

create index client_assertion_expires_idx on users.client_assertion (expires_at);
