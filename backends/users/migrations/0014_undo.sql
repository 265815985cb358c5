-- The way back for somebody whose contact was exchanged by another: a link in the notice to the old
-- one. Only its hash is kept: 256 random bits need no salt.

create table users.undo (
    -- In the order of the changes.
    seq bigint generated always as identity,
    token_hash bytea constraint undo_pkey primary key,
    account_id uuid not null constraint undo_account_fkey references users.account (id) on delete cascade,
    channel text not null constraint undo_channel_check check (channel in ('email', 'sms')),
    -- What the account had before; null when it had nothing of the kind.
    previous text,
    created_at timestamptz not null,
    expires_at timestamptz not null
);

create index undo_account_idx on users.undo (account_id, created_at);
-- Serves the sweeping.
create index undo_expiry_idx on users.undo (expires_at);
