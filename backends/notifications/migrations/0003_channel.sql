-- A message takes a way: mail, or a text to a phone. What an older process writes is mail; what it
-- cannot read it leaves waiting, and every text says something that it cannot read. How often a
-- message may be tried is the row's own: what is mandatory is not given up in a night.
alter table notifications.message
    add column channel text not null default 'email',
    add column max_attempts int not null default 20,
    add constraint message_channel_known check (channel in ('email', 'sms'));

-- How many texts an hour has had: in all, by the beginning of the number, by the number. Texts cost
-- money, and whoever earns by them may ask for many.
create table notifications.text_count (
    counted text not null,
    hour timestamptz not null,
    texts int not null,
    constraint text_count_pkey primary key (counted, hour)
);

-- Serves the sweep.
create index text_count_hour on notifications.text_count (hour);
