-- +goose Up

-- Which installation this is, made once. A restored or promoted copy has it too; another database has another one.
create table tactus.installation (
    one boolean primary key default true check (one),
    id  uuid not null default gen_random_uuid()
);
insert into tactus.installation default values;
