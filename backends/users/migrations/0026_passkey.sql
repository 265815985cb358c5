-- Passkeys: keys that live in people's devices and sign a challenge of ours. A passkey that has made
-- sure of its person is a way in by itself, and a second factor beside any other.

create table users.passkey (
    id uuid constraint passkey_pkey primary key,
    account_id uuid not null constraint passkey_account_fkey references users.account (id) on delete cascade,
    name text not null constraint passkey_name_check check (char_length(name) between 1 and 64),
    -- The authenticator's name for it. One passkey belongs to one account for ever.
    credential_id bytea not null constraint passkey_credential_key unique
        constraint passkey_credential_check check (octet_length(credential_id) between 1 and 1023),
    -- A COSE key, as the authenticator wrote it.
    public_key bytea not null,
    -- What its counter showed last; 32 bits without a sign. Many count nothing and show 0.
    sign_count bigint not null constraint passkey_count_check check (sign_count between 0 and 4294967295),
    -- Whether it may live on several devices, and whether it does by now.
    backup_eligible boolean not null,
    backed_up boolean not null constraint passkey_backup_check check (backup_eligible or not backed_up),
    -- The make of the authenticator, as it says itself; all zeros where it does not.
    aaguid uuid not null,
    -- How browsers reach it, told back to them.
    transports text[] not null,
    -- Whether it is found without a name being typed first; null where the browser did not say.
    discoverable boolean,
    created_at timestamptz not null,
    last_used_at timestamptz
);

create index passkey_account_idx on users.passkey (account_id, id);

-- Challenges on their way. Each is answered once, for what and by whom it was asked.
create table users.passkey_ceremony (
    challenge bytea constraint passkey_ceremony_pkey primary key
        constraint passkey_ceremony_challenge_check check (octet_length(challenge) = 32),
    aim text not null constraint passkey_ceremony_aim_check check (aim in ('enrol', 'sign_in', 'prove')),
    -- Null for a sign-in: who it is will be seen.
    account_id uuid constraint passkey_ceremony_account_fkey references users.account (id) on delete cascade,
    -- The session or the sign-in under way that it belongs to.
    bound_to text,
    expires_at timestamptz not null,
    constraint passkey_ceremony_owner_check check ((aim = 'sign_in') = (account_id is null)
        and (account_id is null) = (bound_to is null))
);

create index passkey_ceremony_account_idx on users.passkey_ceremony (account_id) where account_id is not null;
-- Serves the sweeping.
create index passkey_ceremony_expiry_idx on users.passkey_ceremony (expires_at);
