-- What was answered under an Idempotency-Key, written in the commit that moved the money (or refused to):
-- a repeated request gets the very same answer and has no second effect.

create table ledger.idem (
    -- Whose key it is: two callers may choose the same.
    principal uuid not null,
    -- SHA-256 of the key, and of the request it came with.
    key_hash bytea not null,
    fingerprint bytea not null,
    -- The journal entry it made; none where the wish was refused.
    entry_id uuid,
    http_status smallint not null,
    body bytea not null,
    created_at timestamptz not null,
    constraint idem_pkey primary key (principal, key_hash),
    constraint idem_hash_check check (octet_length(key_hash) = 32 and octet_length(fingerprint) = 32)
) partition by hash (principal, key_hash);

create index idem_created_at_idx on ledger.idem using brin (created_at);

do $$
begin
    for n in 0..7 loop
        execute format(
            'create table ledger.idem_%s partition of ledger.idem for values with (modulus 8, remainder %s)', n, n);
    end loop;
end
$$;
