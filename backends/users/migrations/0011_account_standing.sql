-- People come by phone too, and may lose their standing for a while or for good.

alter table users.account
    alter column email drop not null,
    -- E.164, see contact.rs.
    add column phone text constraint account_phone_key unique
        constraint account_phone_check check (phone ~ '^\+[1-9][0-9]{6,14}$'),
    add column name text constraint account_name_check check (char_length(name) between 1 and 100),
    -- What the account may do: `frozen` looks and does nothing, `banned` does not get in, `deleted`
    -- waits for its erasure or is over.
    add column standing text not null default 'active'
        constraint account_standing_check check (standing in ('active', 'frozen', 'banned', 'deleted')),
    -- Why, for the people who work here.
    add column standing_reason text,
    -- When it is active again by itself; never if null.
    add column standing_until timestamptz,
    -- When somebody here has made sure who this is; null for nobody has.
    add column verified_at timestamptz;

alter table users.account add constraint account_active_is_plain_check
    check (standing <> 'active' or (standing_reason is null and standing_until is null));

-- Serves lists of those who are not active: few.
create index account_standing_idx on users.account (standing, id) where standing <> 'active';
