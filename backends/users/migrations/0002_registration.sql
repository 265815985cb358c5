-- Wishes for an account, one row per address, whether an account has that address or not: an
-- outsider must not see a difference. The row of a known address has no code, so no guess fits it.

create table users.registration (
    email text constraint registration_pkey primary key,
    flow_id uuid not null constraint registration_flow_key unique,
    -- The password of this very flow. It dies with the flow, and never reaches an account that
    -- somebody else proves (pre-hijacking).
    password_hash text not null,
    -- HMAC of flow and code.
    code_hash bytea,
    tries_left smallint not null constraint registration_tries_check check (tries_left >= 0),
    expires_at timestamptz not null,
    -- How many more mails this address may be sent before `mails_refill_at`.
    mails_left smallint not null constraint registration_mails_check check (mails_left >= 0),
    mails_refill_at timestamptz not null
);

-- Serves the sweeping of what nobody finished.
create index registration_refill_idx on users.registration (mails_refill_at);
