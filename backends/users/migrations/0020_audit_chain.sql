-- Makes of the record a chain: each act has a link that hashes it together with the link before. To
-- change, drop or reorder what has been written one must write every later link anew, and whoever
-- has seen a signed head (audit/head.rs) sees that as well.
--
-- The links are made at the commit, by a deferred trigger, in the one row of users.audit_head. So an
-- act and its link are one commit, whoever writes the act; links are numbered in the order of
-- commits and without gaps; and the row is held for the last moment of a transaction only. It is the
-- last lock that a transaction takes: nothing is locked after it, so whoever waits for it waits for
-- somebody who waits for nobody, and no deadlock comes of it. (users.revocation_head is locked in the
-- body of a transaction, so always before.) The price is that commits with acts pass one by one.
--
-- Who may what: the app needs no more than this, and an operator who runs the migrations as another
-- role can leave it no more. The links are then out of its reach altogether, since the trigger acts
-- with the rights of whoever made it.
--
--   grant select, insert on users.audit to APP;
--   grant select on users.audit_link, users.audit_head to APP;
--   grant select, insert, delete on users.audit_detail to APP;
--   grant select, update on users.audit_told to APP;
--
-- Where one role owns everything the triggers below refuse what the app should never do.

-- Who did it, where that is not the account's owner.
alter table users.audit add column actor_id uuid;
-- Of the particulars, see users.audit_detail.
alter table users.audit add column detail_hash bytea
    constraint audit_detail_hash_check check (octet_length(detail_hash) = 32);

-- These serve the search.
create index audit_actor_idx on users.audit (actor_id, seq) where actor_id is not null;
create index audit_act_idx on users.audit (act, seq);
create index audit_at_idx on users.audit (at);

-- Particulars of an act: where from, by what program, why. They are personal, so they stand apart
-- and go when their person is erased; the act keeps their hash. It is salted, since nobody should
-- find an address again by trying all of them. No foreign key: it would answer a truncation of the
-- record in the trigger's place.
create table users.audit_detail (
    audit_seq bigint constraint audit_detail_pkey primary key,
    salt bytea not null constraint audit_detail_salt_check check (octet_length(salt) = 32),
    -- Not jsonb: it is kept as it was written, since its text is what was hashed.
    detail json not null
);

create table users.audit_link (
    n bigint constraint audit_link_pkey primary key,
    audit_seq bigint not null constraint audit_link_audit_key unique,
    hash bytea not null constraint audit_link_hash_check check (octet_length(hash) = 32)
);

-- One row: the last link.
create table users.audit_head (
    one boolean constraint audit_head_pkey primary key default true
        constraint audit_head_one_check check (one),
    n bigint not null,
    hash bytea not null constraint audit_head_hash_check check (octet_length(hash) = 32)
);

insert into users.audit_head (n, hash) values (0, decode(repeat('00', 32), 'hex'));

-- One row: the head that was published last.
create table users.audit_told (
    one boolean constraint audit_told_pkey primary key default true
        constraint audit_told_one_check check (one),
    n bigint not null
);

insert into users.audit_told (n) values (0);

-- A field as it is hashed: whether it is there, how long it is, and it. So no two rows are written
-- alike, wherever their fields begin and end.
create function users.audit_field(field bytea) returns bytea language sql immutable
    return case when field is null then '\x00'::bytea
        else '\x01'::bytea || int4send(octet_length(field)) || field end;

-- The link of an act behind the link `previous`. audit/chain.rs computes the same by itself. A column
-- that is added to the record later belongs into another form of another name, chosen by the number
-- of the link, since the links that are there stay as they are.
create function users.audit_hash(previous bytea, act users.audit) returns bytea language sql stable
    return sha256(
        previous
        || users.audit_field('vorota audit 1'::bytea)
        || users.audit_field(int8send(act.seq))
        -- Microseconds of Unix time.
        || users.audit_field(int8send((extract(epoch from act.at) * 1000000)::bigint))
        || users.audit_field(convert_to(act.act, 'UTF8'))
        || users.audit_field(uuid_send(act.account_id))
        || users.audit_field(uuid_send(act.session_id))
        || users.audit_field(convert_to(act.request_id, 'UTF8'))
        || users.audit_field(uuid_send(act.api_key_id))
        || users.audit_field(uuid_send(act.actor_id))
        || users.audit_field(act.detail_hash)
    );

create function users.chain_audit() returns trigger language plpgsql
    security definer set search_path = pg_catalog, pg_temp as $$
declare
    head record;
begin
    update users.audit_head set n = n + 1, hash = users.audit_hash(hash, new)
        where one returning n, hash into strict head;
    insert into users.audit_link (n, audit_seq, hash) values (head.n, new.seq, head.hash);
    return null;
end
$$;

-- What was written before there was a chain.
do $$
declare
    head users.audit_head;
    act users.audit;
begin
    select * into strict head from users.audit_head;
    for act in select * from users.audit order by seq loop
        head.n := head.n + 1;
        head.hash := users.audit_hash(head.hash, act);
        insert into users.audit_link (n, audit_seq, hash) values (head.n, act.seq, head.hash);
    end loop;
    update users.audit_head set n = head.n, hash = head.hash;
end
$$;

create constraint trigger audit_chain after insert on users.audit
    deferrable initially deferred for each row execute function users.chain_audit();

create function users.refuse_change() returns trigger language plpgsql as $$
begin
    raise exception '%.% is append-only', tg_table_schema, tg_table_name
        using errcode = 'insufficient_privilege';
end
$$;

create trigger audit_link_append_only before update or delete or truncate on users.audit_link
    for each statement execute function users.refuse_change();
-- Particulars are deleted with their person, and never changed.
create trigger audit_detail_append_only before update or truncate on users.audit_detail
    for each statement execute function users.refuse_change();
create trigger audit_head_kept before insert or delete or truncate on users.audit_head
    for each statement execute function users.refuse_change();

-- Sign-ins to addresses that no account has. They are no part of the record, but take as long as those
-- that are: whoever has a watch would tell the one from the other. So such a row has particulars and a
-- link as well, which nobody reads but an operator who looks into a wave of them; the link is computed
-- behind the same head, which is held for as long and stays as it is.
alter table users.stranger add column chained boolean not null default false;

create table users.stranger_detail (
    stranger_seq bigint constraint stranger_detail_pkey primary key,
    salt bytea not null,
    detail json not null
);

create table users.stranger_link (
    stranger_seq bigint constraint stranger_link_pkey primary key,
    n bigint not null,
    hash bytea not null,
    constraint stranger_link_key unique (n, stranger_seq)
);

create function users.chain_stranger() returns trigger language plpgsql
    security definer set search_path = pg_catalog, pg_temp as $$
declare
    act users.audit;
    head record;
begin
    act.seq := new.seq;
    act.at := new.at;
    act.act := 'session.refused';
    act.account_id := gen_random_uuid();
    act.request_id := new.request_id;
    update users.audit_head set n = n, hash = hash
        where one returning n, users.audit_hash(hash, act) as hash into strict head;
    insert into users.stranger_link (stranger_seq, n, hash) values (new.seq, head.n, head.hash);
    return null;
end
$$;

create constraint trigger stranger_chain after insert on users.stranger
    deferrable initially deferred for each row when (new.chained)
    execute function users.chain_stranger();
