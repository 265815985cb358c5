-- What happened to accounts, in the order it was written, in the commit of the act itself.
-- Append-only: not even this app's own bugs can rewrite it.

create table users.audit (
    seq bigint generated always as identity constraint audit_pkey primary key,
    at timestamptz not null,
    act text not null,
    -- No foreign key: the record outlives the account.
    account_id uuid not null,
    session_id uuid,
    -- The request that did it, as access records and logs name it.
    request_id text
);

create index audit_account_idx on users.audit (account_id, seq);

create function users.refuse_audit_change() returns trigger language plpgsql as $$
begin
    raise exception 'users.audit is append-only' using errcode = 'insufficient_privilege';
end
$$;

create trigger audit_append_only before update or delete or truncate on users.audit
    for each statement execute function users.refuse_audit_change();

-- Sign-ins refused to addresses that have no account: no act on anything, and anybody can add one.
-- So they stand apart from the record and are kept a week. A row is written for them at all so that
-- the clock tells them from nobody.
create table users.stranger (
    seq bigint generated always as identity constraint stranger_pkey primary key,
    at timestamptz not null,
    request_id text
);

create index stranger_at_idx on users.stranger (at);
