-- Wallets: the ledger's accounts as their owners know them. The ledger's own numbers stay inside, for
-- they would tell how many accounts there are.
create table transactions.wallet (
    -- uuid v7: a list is in the order in which the wallets were opened.
    id uuid not null,
    -- ledger.account.id; the balance and the currency are there.
    account bigint not null,
    -- The user (users.account.id, in another app's hands).
    owner uuid not null,
    created_at timestamptz not null default now(),
    constraint wallet_pkey primary key (id),
    constraint wallet_account_key unique (account)
);

create index wallet_owner_idx on transactions.wallet (owner, id);
