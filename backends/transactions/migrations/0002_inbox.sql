-- Events of other apps that were handled here, so that a redelivery is harmless.
create table transactions.inbox (
    event_id uuid not null,
    consumer text not null,
    handled_at timestamptz not null default now(),
    constraint inbox_pkey primary key (event_id, consumer)
);

-- Serves the sweep.
create index inbox_handled_at on transactions.inbox (handled_at);
