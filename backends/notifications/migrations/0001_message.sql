-- What is to reach somebody. A row lives from the event that asks for it until a while after it was
-- sent or given up; what it says is forgotten as soon as it need not be said any more, because it
-- may be a code.
create table notifications.message (
    id uuid not null,
    kind text not null,
    recipient text not null,
    content jsonb,
    state text not null default 'waiting',
    attempts int not null default 0,
    next_try_at timestamptz not null,
    expires_at timestamptz,
    last_error text,
    created_at timestamptz not null,
    sent_at timestamptz,
    constraint message_pkey primary key (id),
    constraint message_state_known check (state in ('waiting', 'sent', 'dead')),
    constraint message_content_while_waiting check ((state = 'waiting') = (content is not null)),
    constraint message_sent_at_when_sent check ((state = 'sent') = (sent_at is not null))
);

-- Serves the sender: what is due, the longest waiting first.
create index message_due on notifications.message (next_try_at) where state = 'waiting';
-- Serves the sweep.
create index message_created_at on notifications.message (created_at);
