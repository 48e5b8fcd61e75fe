-- +goose Up

-- Schedules by the name of their task, newest first. The expression is that of the program (sqlexpr.TaskName), which raises for
-- no document; no task that is accepted has a longer name.
create index schedules_task on tactus.schedules (left((case when strpos(task::text, chr(92) || 'u') = 0 then task else regexp_replace(task::text, replace(
    '(~~|~u[dD][89abAB][0-9a-fA-F]{2}~u[dD][c-fC-F][0-9a-fA-F]{2})|~u(?:0000|[dD][89a-fA-F][0-9a-fA-F]{2})',
    '~', repeat(chr(92), 2)), chr(92) || '1', 'g')::json end)->>'task_name', 200), created_at desc, id desc) where deleted_at is null;
