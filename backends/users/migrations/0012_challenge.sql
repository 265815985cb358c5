-- One mechanism for everything that is proven by a code or a link: a new address, a sign-in without
-- a password, a second factor, a forgotten password. It takes the place of users.registration, whose
-- rows live for an hour: those on their way at the time of the change are begun anew.

drop table users.registration;

create table users.challenge (
    -- Random: knowing it is what lets one try.
    flow_id uuid constraint challenge_pkey primary key,
    purpose text not null,
    channel text not null constraint challenge_channel_check check (channel in ('email', 'sms')),
    -- Where the code went, or would have gone.
    contact text not null,
    -- Whose account it is about; null where there is none, or none yet.
    account_id uuid constraint challenge_account_fkey references users.account (id) on delete cascade,
    -- What else it holds for alone: a sign-in under way, a session.
    bound_to text,
    -- What is sent: a code; the news that the address is known; or nothing, since nobody is there.
    -- An outsider must not see a difference, so the row is there in each case.
    sends text not null constraint challenge_sends_check check (sends in ('code', 'known', 'nothing')),
    -- HMAC of flow and code, and of flow and link. Null where there is none to guess at.
    code_hash bytea,
    link_hash bytea,
    tries_left smallint not null constraint challenge_tries_check check (tries_left >= 0),
    -- What is to be done once it is proven, such as the hash of the password of this very flow, which
    -- dies with the flow and never reaches an account that somebody else proves (pre-hijacking).
    state jsonb not null,
    expires_at timestamptz not null,
    constraint challenge_code_check check ((sends = 'code') = (code_hash is not null))
);

-- Serves the end of an address's other wishes when one of them is proven.
create index challenge_contact_idx on users.challenge (contact);
create index challenge_account_idx on users.challenge (account_id) where account_id is not null;
-- Serves the sweeping of what nobody finished.
create index challenge_expiry_idx on users.challenge (expires_at);

-- What somebody or something has had of late: every use moves the time on by its share, and one that
-- is far ahead of the clock has had enough for now (budget.rs). Keys are hashes: an address that is
-- none of ours is nobody's to read here.
drop table users.mail_budget;

create table users.budget (
    key bytea constraint budget_pkey primary key,
    spent_until timestamptz not null
);

-- Serves the sweeping of those who have all of it again.
create index budget_spent_idx on users.budget (spent_until);
