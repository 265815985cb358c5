-- How many legs the entry of a row has: one that has lost some shows, see ledger::reconcile. A constant
-- default rewrites no partition, and rows that are there already are looked at by the next migration,
-- which keeps nobody from posting.
alter table ledger.journal add column legs smallint not null default 1;
alter table ledger.journal add constraint journal_legs_check check (legs between 1 and 64 and leg < legs) not valid;
