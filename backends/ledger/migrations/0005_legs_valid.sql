-- Reads every partition, beside those who post.
alter table ledger.journal validate constraint journal_legs_check;
