-- +goose Up

-- The streams to which something was handed over, whatever has become of the schedules that went there: each is a key of
-- Redis, and while that is there no queue can have its name. A relay forgets those of which Redis has no stream any more
-- and to which no schedule goes. The schedule is one of those that went there, if any was there to be named.
create table tactus.stream_keys (
    name        text primary key,
    schedule_id uuid,
    noted_at    timestamptz not null default clock_timestamp()
);

revoke usage on type tactus.stream_keys from public;

insert into tactus.stream_keys (name, schedule_id)
select distinct on (name) name, schedule_id from tactus.stream_claims order by name, schedule_id;

-- Those of schedules that have ended: what is deleted has no claim, and some of what is completed never had one.
insert into tactus.stream_keys (name, schedule_id)
select distinct on (name) name, id from (
    select s.id, (case when strpos(s.task::text, chr(92) || 'u') = 0 then s.task else regexp_replace(s.task::text, replace(
        '(~~|~u[dD][89abAB][0-9a-fA-F]{2}~u[dD][c-fC-F][0-9a-fA-F]{2})|~u(?:0000|[dD][89a-fA-F][0-9a-fA-F]{2})',
        '~', repeat(chr(92), 2)), chr(92) || '1', 'g')::json end)->>'stream' as name
    from tactus.schedules s
    where strpos(s.task::text, '"stream":') > 0
        and exists (select from tactus.runs r where r.schedule_id = s.id and r.sent_at is not null)
) found where name is not null order by name, id
on conflict (name) do nothing;
