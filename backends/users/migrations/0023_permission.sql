-- Who may what. A role is a name for a set of permissions; what a permission opens is the code's
-- business, so their list is closed: `Permission` in rights/permission.rs says the same, and a test
-- compares the two. A migration that adds one gives it to `admin` in the same breath.

create table users.permission (
    name text constraint permission_pkey primary key
        constraint permission_name_check check (name ~ '^[a-z]+\.[a-z_]+$'),
    description text not null
);

insert into users.permission (name, description) values
    ('users.read', 'Look into accounts, with their addresses masked'),
    ('users.read_pii', 'See the addresses of accounts in full; each look is recorded'),
    ('users.create', 'Create accounts and invite people'),
    ('users.edit', 'Change what accounts say of their owners'),
    ('users.delete', 'Delete accounts'),
    ('users.freeze', 'Freeze and unfreeze accounts, and end their sessions'),
    ('users.moderate', 'Ban, unban and verify accounts, and take their second factors away'),
    ('roles.assign', 'Give roles to accounts, and take them away'),
    ('roles.manage', 'Make, change and delete roles'),
    ('acl.manage', 'Change the rules of APIs'),
    ('services.manage', 'Make and end service accounts and their keys'),
    ('keys.manage', 'Turn the keys that sign tokens over ahead of time'),
    ('authz.check', 'Ask what other accounts may, and read all that is decided by'),
    ('audit.read', 'Read the record of what happened to accounts'),
    ('audit.verify', 'Have the record proven'),
    ('wallets.read', 'Look into the wallets of others'),
    ('transfers.read', 'Look into the transfers of others'),
    ('notifications.read', 'Look into what was sent to others');

create table users.role_permission (
    role text not null
        constraint role_permission_role_fkey references users.role (name) on delete cascade,
    permission text not null
        constraint role_permission_permission_fkey references users.permission (name),
    constraint role_permission_pkey primary key (role, permission)
);

-- Support keeps harm from somebody's account, which anybody can ask for on the phone; it does not
-- open accounts, nor take second factors away, for the same reason.
insert into users.role_permission (role, permission)
select 'admin', name from users.permission
union all
select 'support', name from users.permission
where name in ('users.read', 'users.freeze', 'audit.read');

-- `frozen` is what the token of a frozen account says in place of its roles, so nobody holds it.
alter table users.role add constraint role_name_reserved_check check (name <> 'frozen') not valid;
alter table users.role validate constraint role_name_reserved_check;
alter table users.role add column built_in boolean not null default false;
-- Its ETag.
alter table users.role add column version bigint not null default 1;
update users.role set built_in = true where name in ('user', 'support', 'admin');

-- The rules of one API: who may use which methods.
create table users.acl (
    api text constraint acl_pkey primary key
        constraint acl_api_check check (api ~ '^[a-z][a-z0-9_-]{0,31}$'),
    -- Its ETag.
    version bigint not null default 1,
    document jsonb not null,
    changed_at timestamptz not null
);

-- One row: the version of all of the above together. As with users.revocation_head it is counted up
-- in a row that stays locked until the commit, so that whoever reads a version sees all that led to
-- it. The lock also makes changes of who may what wait for each other: each is judged by what the one
-- before it has left.
create table users.authz_head (
    one boolean constraint authz_head_pkey primary key default true
        constraint authz_head_one_check check (one),
    version bigint not null
);

insert into users.authz_head (version) values (1);
