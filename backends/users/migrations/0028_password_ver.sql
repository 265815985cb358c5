-- Goes up with each password that is chosen, and not where the same one is hashed anew: two sign-ins at
-- once may both do that, and both are good.
alter table users.account add column password_ver bigint not null default 0;
