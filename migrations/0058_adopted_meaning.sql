-- +goose Up

-- Rows of adopted tables whose triggers are only written otherwise keep their due times, also where many rows change at once.
-- The function stays as it is otherwise.
-- +goose StatementBegin
do $do$
declare
    by_text constant text := '(was_trigger, was_anchor) is distinct from (trigger, anchor)';
    by_meaning constant text := 'was_anchor is distinct from anchor
                    or was_trigger <> trigger and tactus.trigger_meaning(was_trigger) <> tactus.trigger_meaning(trigger)';
    adopt_many constant text := pg_get_functiondef('tactus.adopt_many(tactus.adoptions, text[], boolean)'::regprocedure);
begin
    if strpos(adopt_many, by_text) = 0 then
        raise exception 'tactus.adopt_many is another one than this migration knows';
    end if;
    execute replace(adopt_many, by_text, by_meaning);
end
$do$;
-- +goose StatementEnd
