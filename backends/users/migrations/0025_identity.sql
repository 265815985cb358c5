-- Accounts of other providers that open accounts of ours, and what is under way with the providers.

-- Which of them it is, is (issuer, subject) and nothing else: an address changes hands.
create table users.identity (
    id uuid constraint identity_pkey primary key,
    account_id uuid not null constraint identity_account_fkey references users.account (id) on delete cascade,
    provider text not null constraint identity_provider_check check (provider in ('google', 'apple', 'vk')),
    issuer text not null,
    subject text not null constraint identity_subject_check check (char_length(subject) between 1 and 255),
    -- As the provider told it, so that its owner knows it again in a list. Nobody is found by it.
    email text,
    -- Sealed: what ends the provider's permission when the link ends, and whom it was given to.
    refresh_token bytea,
    client_id text,
    linked_at timestamptz not null,
    last_used_at timestamptz,
    constraint identity_issuer_subject_key unique (issuer, subject),
    constraint identity_refresh_token_check check ((refresh_token is null) = (client_id is null))
);

create index identity_account_idx on users.identity (account_id, id);

-- Permissions at providers that are to end. Filled by the database itself, so that no way of erasing
-- an account forgets it.
create table users.identity_farewell (
    id uuid constraint identity_farewell_pkey primary key,
    provider text not null,
    refresh_token bytea not null,
    client_id text not null,
    tries_left smallint not null default 20,
    next_try_at timestamptz not null default now()
);

create index identity_farewell_due_idx on users.identity_farewell (next_try_at);

create function users.bid_identity_farewell() returns trigger language plpgsql as $$
begin
    insert into users.identity_farewell (id, provider, refresh_token, client_id)
    values (old.id, old.provider, old.refresh_token, old.client_id);
    return null;
end
$$;

create trigger identity_farewell after delete on users.identity
    for each row when (old.refresh_token is not null) execute function users.bid_identity_farewell();

-- Browsers that are at a provider, or about to be sent there.
create table users.social_start (
    -- SHA-256 of the `state`, or of the ticket that a browser begins with.
    hash bytea constraint social_start_pkey primary key,
    provider text not null,
    -- SHA-256 of the browser's half, its cookie; null while there is only a ticket.
    browser_hash bytea,
    -- Where the browser goes in the end, and the S256 challenge of the app there.
    return_to text,
    challenge bytea,
    -- Who is signed in and links; null for a sign-in.
    account_id uuid constraint social_start_account_fkey references users.account (id) on delete cascade,
    expires_at timestamptz not null,
    constraint social_start_return_check check ((return_to is null) = (challenge is null))
);

create index social_start_expiry_idx on users.social_start (expires_at);
create index social_start_account_idx on users.social_start (account_id) where account_id is not null;

-- What a provider has vouched for, until somebody signs in or links with it.
create table users.social_proof (
    -- SHA-256 of the one-time code.
    hash bytea constraint social_proof_pkey primary key,
    purpose text not null constraint social_proof_purpose_check check (purpose in ('sign_in', 'link')),
    -- Whoever brings the code must know what this is the SHA-256 of, where it is set.
    challenge bytea,
    -- The only account that it may be linked to, where it is set.
    account_id uuid constraint social_proof_account_fkey references users.account (id) on delete cascade,
    -- Sealed: issuer, subject and what else was told.
    arrival bytea not null,
    expires_at timestamptz not null
);

create index social_proof_expiry_idx on users.social_proof (expires_at);
create index social_proof_account_idx on users.social_proof (account_id) where account_id is not null;

-- Nonces that apps were given for an ID token each.
create table users.social_nonce (
    hash bytea constraint social_nonce_pkey primary key,
    provider text not null,
    expires_at timestamptz not null
);

create index social_nonce_expiry_idx on users.social_nonce (expires_at);
