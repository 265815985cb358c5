-- Who may sign in, and as what. An account exists only once its address has been proven, so there
-- is no "unverified" state that another way in could mistake for a real one.

create table users.account (
    id uuid constraint account_pkey primary key,
    -- Lower case, see email.rs.
    email text not null constraint account_email_key unique
        constraint account_email_lower_check check (email = lower(email)),
    -- A PHC string; null for people who never chose a password.
    password_hash text,
    -- Goes up with each change of what the account may do, and travels in the access token.
    perm_ver bigint not null default 1,
    created_at timestamptz not null
);

-- Roles are rows, not an enum: operators add their own, and permissions will hang on them.
create table users.role (
    name text constraint role_pkey primary key
        constraint role_name_check check (name ~ '^[a-z][a-z0-9_-]{0,31}$'),
    description text not null
);

insert into users.role (name, description) values
    ('user', 'Owns wallets and moves their own money'),
    ('support', 'Looks into accounts for the people who own them'),
    ('admin', 'Runs the place');

create table users.account_role (
    account_id uuid not null constraint account_role_account_fkey references users.account (id) on delete cascade,
    role text not null constraint account_role_role_fkey references users.role (name),
    granted_at timestamptz not null,
    constraint account_role_pkey primary key (account_id, role)
);
