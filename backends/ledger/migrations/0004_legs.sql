-- How many legs the entry of a row has: one that has lost some shows, see ledger::reconcile. A constant
-- default, so no partition is rewritten.
alter table ledger.journal add column legs smallint not null default 1;
alter table ledger.journal add constraint journal_legs_check check (legs between 1 and 64 and leg < legs);
