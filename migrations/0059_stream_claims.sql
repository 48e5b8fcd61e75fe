-- +goose Up

-- Which schedule may go to a stream of which name. A key of Redis is a queue or a stream, never both, and who comes
-- first has the name: it is claimed once no schedule and no route is known that has a queue of it. Nothing is handed over
-- to a queue of that name while one of its schedules lives, and to a stream without a claim only while there is no such
-- queue.
create table tactus.stream_claims (
    schedule_id uuid primary key,
    name        text not null
);

create index stream_claims_name on tactus.stream_claims (name);

revoke usage on type tactus.stream_claims from public;

-- Streams to which something was handed over are there, as keys of Redis.
insert into tactus.stream_claims (schedule_id, name)
select id, name from (
    select s.id, (case when strpos(s.task::text, chr(92) || 'u') = 0 then s.task else regexp_replace(s.task::text, replace(
        '(~~|~u[dD][89abAB][0-9a-fA-F]{2}~u[dD][c-fC-F][0-9a-fA-F]{2})|~u(?:0000|[dD][89a-fA-F][0-9a-fA-F]{2})',
        '~', repeat(chr(92), 2)), chr(92) || '1', 'g')::json end)->>'stream' as name
    from tactus.schedules s
    where s.deleted_at is null and strpos(s.task::text, '"stream":') > 0 and s.invalid_reason is null
        and exists (select from tactus.runs r where r.schedule_id = s.id and r.sent_at is not null)
) found where name is not null;
