-- Wishes for an account, each a row of its own, whether an account has the address or not: an
-- outsider must not see a difference. The row of a known address has no code, so no guess fits it;
-- and no wish touches another's, so that strangers can't spoil the owner's.

create table users.registration (
    flow_id uuid constraint registration_pkey primary key,
    email text not null,
    -- The password of this very flow. It dies with the flow, and never reaches an account that
    -- somebody else proves (pre-hijacking).
    password_hash text not null,
    -- HMAC of flow and code.
    code_hash bytea,
    -- None while no mail has told the code.
    tries_left smallint not null constraint registration_tries_check check (tries_left >= 0),
    expires_at timestamptz not null
);

-- Serves the end of an address's other wishes when one of them is proven.
create index registration_email_idx on users.registration (email);
-- Serves the sweeping of what nobody finished.
create index registration_expiry_idx on users.registration (expires_at);

-- What each address has been sent of late: every mail moves the time on by its share (register.rs),
-- and one that is far ahead of the clock has had enough for now.
create table users.mail_budget (
    email text constraint mail_budget_pkey primary key,
    spent_until timestamptz not null
);

-- Serves the sweeping of addresses that have all of it again.
create index mail_budget_spent_idx on users.mail_budget (spent_until);
