-- Accounts and their balances. A balance is what has been credited less what has been debited, so a
-- wallet stands above zero and the equity account that money came from stands below it by as much.

create table ledger.account (
    id bigint generated always as identity,
    -- Whose it is; none owns a system account.
    owner uuid,
    -- ISO 4217 number, e.g. 840 for USD.
    currency smallint not null,
    -- 1 wallet, 2 equity (where opening balances come from).
    kind smallint not null,
    -- Bit 1: the balance may fall below the floor.
    flags integer not null default 0,
    -- Minor units. What is available is posted - held.
    posted bigint not null default 0,
    held bigint not null default 0,
    floor bigint not null default 0,
    -- How many legs have been posted to it.
    version bigint not null default 0,
    created_at timestamptz not null default now(),
    constraint account_pkey primary key (id),
    constraint account_owner_currency_kind_key unique nulls not distinct (owner, currency, kind),
    constraint account_held_check check (held >= 0),
    -- Half of what a bigint holds, so that posted - held can never overflow.
    constraint account_range_check check (
        posted between -4611686018427387904 and 4611686018427387904
        and held <= 4611686018427387904
    ),
    constraint account_covered_check check (flags & 1 <> 0 or posted - held >= floor)
) with (fillfactor = 50);

comment on table ledger.account is
    'Half-empty pages keep the update of a balance on its page (HOT): no index entry is written for it.';
