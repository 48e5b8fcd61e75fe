-- +goose Up

-- Who may call: API keys and the sessions of browsers. Neither can be made from what is here, the SHA-256 of a random
-- text of 256 bits.
create table tactus.access_keys (
    id uuid primary key,
    name text not null check (length(name) between 1 and 200),
    hash bytea not null check (octet_length(hash) = 32),
    role text not null check (role in ('read', 'write', 'admin')),
    scope text[] not null default '{}',
    created_at timestamptz not null default clock_timestamp(),
    created_by text not null default '',
    expires_at timestamptz,
    revoked_at timestamptz,
    replaced_by uuid,
    last_used_at timestamptz
);
create unique index access_keys_hash on tactus.access_keys (hash);
-- A name says who acts, so one key at a time has it: the newest of those that replace each other.
create unique index access_keys_name on tactus.access_keys (name) where revoked_at is null and replaced_by is null;

create table tactus.access_sessions (
    hash bytea primary key check (octet_length(hash) = 32),
    key_id uuid references tactus.access_keys (id),
    kind text not null,
    name text not null,
    role text not null check (role in ('read', 'write', 'admin')),
    scope text[] not null default '{}',
    created_at timestamptz not null default clock_timestamp(),
    expires_at timestamptz not null
);
create index access_sessions_end on tactus.access_sessions (expires_at);

revoke usage on type tactus.access_keys, tactus.access_sessions from public;
