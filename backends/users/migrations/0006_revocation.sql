-- What is believed no longer before its time is up: sessions that were ended, tokens of an account
-- that were issued before some moment, keys. Gateways read this by number and refuse what it names.
--
-- A reader goes on behind the last number it saw, so a number must never become visible after a
-- higher one. A sequence can't promise that: it gives 7 and 8 to two transactions, and 8 may commit
-- first. The number is therefore counted up in a row that stays locked until the commit: it is given
-- in the order of commits, and without gaps. The price is that revocations commit one by one.

create table users.revocation (
    seq bigint constraint revocation_pkey primary key,
    kind text not null
        constraint revocation_kind_check check (kind in ('session', 'subject', 'api_key')),
    -- Of a session, an account or a key; no foreign key, since it is read after they are gone.
    id text not null,
    -- Of a subject alone: what was issued to it before this is refused.
    not_before timestamptz
        constraint revocation_not_before_check check ((not_before is null) = (kind <> 'subject')),
    revoked_at timestamptz not null,
    -- When the last of what it refuses is void by itself.
    until timestamptz not null
);

-- Serves the sweeping.
create index revocation_until_idx on users.revocation (until);

-- One row: how far the numbers are.
create table users.revocation_head (
    one boolean constraint revocation_head_pkey primary key default true
        constraint revocation_head_one_check check (one),
    seq bigint not null,
    -- Numbers up to this may have been swept: who has not read them by now never will.
    swept bigint not null
);

insert into users.revocation_head (seq, swept) values (0, 0);

-- Its one line says what happened; nobody rewrites it.
create function users.refuse_revocation_change() returns trigger language plpgsql as $$
begin
    raise exception 'users.revocation is append-only' using errcode = 'insufficient_privilege';
end
$$;

create trigger revocation_append_only before update or truncate on users.revocation
    for each statement execute function users.refuse_revocation_change();

-- A person may end all of their sessions at once.
alter table users.session drop constraint session_end_reason_check;
alter table users.session add constraint session_end_reason_check
    check (end_reason in ('logout', 'logout_all', 'token_reuse')) not valid;
alter table users.session validate constraint session_end_reason_check;
