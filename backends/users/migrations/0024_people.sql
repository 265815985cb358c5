-- People who work here look into accounts and change them.

-- The ETag of an account.
alter table users.account add column version bigint not null default 1;

-- More of why, for the people who work here.
alter table users.account add column standing_note text
    constraint account_standing_note_check check (char_length(standing_note) <= 500);

-- Serves lists by role, and looks for another admin.
create index account_role_role_idx on users.account_role (role, account_id);
-- Serves the lifting of what was set until some time.
create index account_standing_until_idx on users.account (standing_until) where standing_until is not null;
