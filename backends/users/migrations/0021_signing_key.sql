-- The keys that access tokens are signed with. They are the system's own: made, announced, used and
-- thrown away by it. Every replica reads them here, so that all agree on who signs when.

create table users.signing_key (
    -- The thumbprint of the public half (RFC 7638), as tokens name it.
    kid text constraint signing_key_pkey primary key,
    -- The private half, sealed under a key of the operator's secret and bound to the kid: the
    -- database alone signs nothing.
    sealed bytea not null,
    -- The public half, as the JWK says it: for whoever looks here. What is published comes out of
    -- the sealed half, so that who can write here can't publish a key of their own.
    x text not null,
    created_at timestamptz not null,
    -- Signs from here
    signs_from timestamptz not null,
    -- up to here, where the next one begins.
    signs_until timestamptz not null,
    -- By then the last token of it is void, and nobody has to know it any longer.
    published_until timestamptz not null,
    constraint signing_key_times_check check (signs_from < signs_until and signs_until < published_until)
);
