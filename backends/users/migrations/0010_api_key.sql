-- Keys for programs that act for a person. A key holds no role: what it may do is its scopes, which
-- are among those that its owner's roles carry on the day of each use.

-- Scopes are rows, as roles are: the edge compares them by name.
create table users.scope (
    name text constraint scope_pkey primary key
        constraint scope_name_check check (name ~ '^[a-z][a-z0-9_-]{0,31}:[a-z][a-z0-9_-]{0,31}$'),
    description text not null
);

insert into users.scope (name, description) values
    ('profile:read', 'Sees who the account is'),
    ('wallets:read', 'Sees the account''s wallets and what came and went'),
    ('transfers:read', 'Sees the account''s transfers');

-- What a person of this role may hand on to a key.
create table users.role_scope (
    role text not null constraint role_scope_role_fkey references users.role (name) on delete cascade,
    scope text not null constraint role_scope_scope_fkey references users.scope (name) on delete cascade,
    constraint role_scope_pkey primary key (role, scope)
);

insert into users.role_scope (role, scope)
select role.name, scope.name from users.role role, users.scope scope;

create table users.api_key (
    id uuid constraint api_key_pkey primary key,
    account_id uuid not null constraint api_key_account_fkey references users.account (id) on delete cascade,
    name text not null constraint api_key_name_check check (char_length(name) between 1 and 64),
    scopes text[] not null,
    -- Address blocks that it is good from; anywhere when there are none.
    networks text[] not null,
    created_at timestamptz not null,
    expires_at timestamptz,
    -- To some minutes: a row is not written for every use.
    last_used_at timestamptz
);

create index api_key_account_idx on users.api_key (account_id, id);

-- A key has one secret, or two while it is being rotated. Of each only the SHA-256 is known: in 256
-- random bits there is nothing to guess at, so no salt and no slow hash would add anything.
create table users.api_key_secret (
    -- Stands in the key's text, so that a secret is found without its text, and revoked alone.
    id uuid constraint api_key_secret_pkey primary key,
    hash bytea not null constraint api_key_secret_hash_check check (octet_length(hash) = 32),
    api_key_id uuid not null constraint api_key_secret_key_fkey references users.api_key (id) on delete cascade,
    issued_at timestamptz not null,
    -- Set on the old secret of a rotated key.
    ends_at timestamptz
);

-- Serve the sweeping.
create index api_key_expiry_idx on users.api_key (expires_at) where expires_at is not null;
create index api_key_secret_end_idx on users.api_key_secret (ends_at) where ends_at is not null;
create index api_key_secret_key_idx on users.api_key_secret (api_key_id);

-- What was answered under an Idempotency-Key, for a day. The secret itself is not here: it is made
-- of the salt, the key that the client brings again and a key of ours, so it takes all three to say
-- it a second time, and nobody can once the row is gone.
create table users.api_key_wish (
    account_id uuid not null constraint api_key_wish_account_fkey references users.account (id) on delete cascade,
    -- SHA-256 of the key, and of the request it came with.
    key_hash bytea not null,
    fingerprint bytea not null,
    salt bytea not null,
    -- SHA-256 of the secret that was answered with.
    secret_hash bytea not null,
    -- The answer without the secret.
    answer jsonb not null,
    created_at timestamptz not null,
    constraint api_key_wish_pkey primary key (account_id, key_hash),
    constraint api_key_wish_hash_check check (octet_length(key_hash) = 32 and octet_length(fingerprint) = 32
        and octet_length(salt) = 32 and octet_length(secret_hash) = 32)
);

create index api_key_wish_created_idx on users.api_key_wish (created_at);

-- Which key an act was about.
alter table users.audit add column api_key_id uuid;
