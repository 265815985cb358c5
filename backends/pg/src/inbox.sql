-- What this app has already done about events: a redelivery finds its row and does nothing.
create table {schema}.inbox (
    event_id uuid not null,
    consumer text not null,
    handled_at timestamptz not null default now(),
    constraint inbox_pkey primary key (event_id, consumer)
);

-- Serves the pruning.
create index inbox_handled_at on {schema}.inbox (handled_at);
