-- Events that this app has published, written in the transaction of the change they tell of. The
-- columns are those that pg::outbox reads and writes.
create table users.outbox (
    seq bigint generated always as identity,
    id uuid not null,
    topic text not null,
    key text not null,
    payload jsonb not null,
    created_at timestamptz not null default now(),
    delivered_at timestamptz,
    attempts int not null default 0,
    next_try_at timestamptz not null default now(),
    last_error text,
    constraint outbox_pkey primary key (seq),
    constraint outbox_id_key unique (id)
);

-- Serves the relay: the first undelivered event of each key of a topic.
create index outbox_waiting on users.outbox (topic, key, seq) where delivered_at is null;
