-- What a person may have of what is known of them (GDPR, article 15), and that it is forgotten
-- (article 17).

-- A copy of it, for a week. Sealed under a key of ours: it is more than any other row tells.
create table users.export (
    id uuid constraint export_pkey primary key,
    account_id uuid not null constraint export_account_fkey references users.account (id) on delete cascade
        -- One at a time: a new one takes the place of the one before.
        constraint export_account_key unique,
    asked_at timestamptz not null,
    expires_at timestamptz not null,
    -- Null until it is made.
    document bytea
);

-- Serves whoever makes those that were not made at once.
create index export_waiting_idx on users.export (asked_at) where document is null;
-- Serves the sweeping.
create index export_expiry_idx on users.export (expires_at);

-- Accounts that wait for their erasure: their standing is `deleted`.
create table users.erasure (
    account_id uuid constraint erasure_pkey primary key
        constraint erasure_account_fkey references users.account (id) on delete cascade,
    asked_at timestamptz not null,
    -- Until then it can be undone.
    due_at timestamptz not null,
    -- SHA-256 of the token that undoes it: 256 random bits need no salt. Null where somebody here has
    -- deleted the account: that is not its owner's to undo.
    undo_hash bytea constraint erasure_undo_key unique
);

create index erasure_due_idx on users.erasure (due_at);

-- When the person behind the account was forgotten. The row stays, as the one that others' rows
-- point at: money that was moved stays moved.
alter table users.account add column erased_at timestamptz;
alter table users.account add constraint account_erased_check check (
    erased_at is null
    or (standing = 'deleted' and email is null and phone is null and name is null
        and password_hash is null and standing_reason is null and standing_note is null)
);

-- Forgets whatever belongs to an account alone: the rows that would be deleted with it, in whatever
-- table they are. A story that keeps something of its own about a person has it forgotten by pointing
-- at the account with `on delete cascade`, and need not be named here.
create function users.forget_belongings(account uuid) returns void language plpgsql as $$
declare
    belonging record;
begin
    for belonging in
        select fkey.conrelid::regclass as place, field.attname as field
        from pg_constraint fkey
        join pg_attribute field
            on field.attrelid = fkey.conrelid and field.attnum = any (fkey.conkey)
        where fkey.contype = 'f' and fkey.confrelid = 'users.account'::regclass
            and fkey.confdeltype = 'c'
        order by fkey.conname
    loop
        execute format('delete from %s where %I = $1', belonging.place, belonging.field)
            using account;
    end loop;
end
$$;

-- Tells the same rows, by table. What is secret, or was made of a secret, is `bytea` in this schema, and
-- what is half done is JSON; neither is told, whatever a later story keeps.
create function users.tell_belongings(account uuid) returns jsonb language plpgsql stable as $$
declare
    belonging record;
    rows jsonb;
    told jsonb := '{}';
begin
    for belonging in
        select fkey.conrelid::regclass as place, class.relname as name, field.attname as field, (
                select string_agg(format('%L, %I', told.attname, told.attname), ', ' order by told.attnum)
                from pg_attribute told
                where told.attrelid = fkey.conrelid and told.attnum > 0 and not told.attisdropped
                    and told.attname <> field.attname
                    and told.atttypid not in
                        ('bytea'::regtype, 'json'::regtype, 'jsonb'::regtype)
            ) as columns
        from pg_constraint fkey
        join pg_class class on class.oid = fkey.conrelid
        join pg_attribute field
            on field.attrelid = fkey.conrelid and field.attnum = any (fkey.conkey)
        where fkey.contype = 'f' and fkey.confrelid = 'users.account'::regclass
            and fkey.confdeltype = 'c'
        order by fkey.conname
    loop
        execute format(
            'select coalesce(jsonb_agg(jsonb_build_object(%s)), %L) from %s where %I = $1',
            belonging.columns, '[]', belonging.place, belonging.field
        ) into rows using account;
        told := told || jsonb_build_object(belonging.name, rows);
    end loop;
    return told;
end
$$;
