-- The journal: one row is one transfer, both legs and both balances after it. It only ever grows.
-- No foreign keys: they cost 70 % more CPU a transfer and lock the hot account's row; the writer
-- holds both accounts locked, and the proof (ledger::reconcile) looks for rows without an account.
--
-- The role the apps run as needs no more than:
--   grant select, insert on ledger.journal to APP; grant usage on sequence ledger.journal_seq to APP;
--   grant select, insert, update on ledger.account to APP; grant select, insert, delete on ledger.idem to APP;
--   grant execute on function ledger.make_partitions(integer) to APP;

create sequence ledger.journal_seq;

create table ledger.journal (
    -- uuid v7 by the database's clock: the transfer's id, and what the partitions are cut by.
    id uuid not null,
    -- Taken while both accounts are locked: for each account, the order its legs were posted in.
    seq bigint not null default nextval('ledger.journal_seq'),
    -- Rows of one entry stand or fall together.
    entry_id uuid not null,
    leg smallint not null,
    -- 1 post.
    kind smallint not null,
    -- What this row refers back to.
    ref uuid,
    debit_acct bigint not null,
    credit_acct bigint not null,
    -- Minor units.
    amount bigint not null,
    -- ISO 4217 number, that of both accounts.
    currency smallint not null,
    debit_after bigint not null,
    credit_after bigint not null,
    -- Why: 1 transfer, 2 opening.
    code smallint not null,
    -- Who asked for it; none when the system did.
    actor uuid,
    created_at timestamptz not null,
    constraint journal_pkey primary key (id),
    constraint journal_amount_check check (amount > 0),
    constraint journal_accounts_check check (debit_acct <> credit_acct),
    constraint journal_leg_check check (leg between 0 and 63)
) partition by range (id);

alter sequence ledger.journal_seq owned by ledger.journal.seq;

create index journal_debit_idx on ledger.journal (debit_acct, seq);
create index journal_credit_idx on ledger.journal (credit_acct, seq);
create index journal_created_at_idx on ledger.journal using brin (created_at);

create function ledger.refuse_change() returns trigger
language plpgsql as $$
begin
    raise exception '% on %.% refused: the journal is append-only, post a reversing entry', tg_op, tg_table_schema, tg_table_name
        using errcode = 'restrict_violation', constraint = 'journal_append_only';
end
$$;

create trigger journal_append_only before update or delete or truncate on ledger.journal
    for each statement execute function ledger.refuse_change();

-- The least uuid v7 of a moment.
create function ledger.uuid_floor(at timestamptz) returns uuid
language sql immutable as $$
    select (lpad(to_hex(floor(extract(epoch from at) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid
$$;

-- Makes the partitions of this month (UTC) and of as many after it, where missing; returns how many it made.
-- A partition is built aside and attached, so posting goes on meanwhile. It carries a trigger of its own,
-- since the parent's does not fire for a statement that names the partition.
create function ledger.make_partitions(months_ahead integer) returns integer
language plpgsql security definer set search_path = pg_catalog, pg_temp set lock_timeout = '5s' as $$
declare
    this_month timestamp := date_trunc('month', now() at time zone 'UTC');
    first timestamp;
    name text;
    made integer := 0;
begin
    -- One replica at a time; the key is a random constant.
    perform pg_advisory_xact_lock(5490712634108213);
    for n in 0..months_ahead loop
        first := this_month + make_interval(months => n);
        name := 'journal_' || to_char(first, 'YYYY_MM');
        continue when to_regclass(format('ledger.%I', name)) is not null;
        execute format('create table ledger.%I (like ledger.journal including all)', name);
        execute format(
            'create trigger journal_append_only before update or delete or truncate on ledger.%I '
            'for each statement execute function ledger.refuse_change()', name);
        execute format(
            'alter table ledger.journal attach partition ledger.%I for values from (%L) to (%L)', name,
            ledger.uuid_floor(first at time zone 'UTC'),
            ledger.uuid_floor((first + interval '1 month') at time zone 'UTC'));
        made := made + 1;
    end loop;
    return made;
end
$$;
revoke execute on function ledger.make_partitions(integer) from public;

select ledger.make_partitions(3);

-- The accountant's table: two rows a transfer, which sum to zero by construction.
create view ledger.posting as
    select seq, id as transfer_id, debit_acct as account, credit_acct as counterparty, -amount as amount,
           debit_after as balance_after, currency, code, created_at
    from ledger.journal
    union all
    select seq, id as transfer_id, credit_acct as account, debit_acct as counterparty, amount,
           credit_after as balance_after, currency, code, created_at
    from ledger.journal;
