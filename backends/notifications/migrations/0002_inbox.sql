-- Which events this app has handled: a redelivery finds its row and does nothing. The columns are
-- those that pg::inbox writes.
create table notifications.inbox (
    event_id uuid not null,
    consumer text not null,
    handled_at timestamptz not null default now(),
    constraint inbox_pkey primary key (event_id, consumer)
);

-- Serves the sweep.
create index inbox_handled_at on notifications.inbox (handled_at);
