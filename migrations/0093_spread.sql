-- +goose Up

-- spread_seconds is a member of a definition, and of the text of a policy. What an answer has of it, fires_at, is not in a
-- schedule. The functions stay as they are otherwise.
-- +goose StatementBegin
do $do$
declare
    edit record;
    was text;
begin
    for edit in select * from (values
        ('type_faults(jsonb)', $$('jitter_seconds', 'a whole number'),$$, $$('jitter_seconds', 'a whole number'), ('spread_seconds', 'a whole number'),$$),
        ('suggestion(text)', $$shadow,$$, $$shadow,spread_seconds,$$),
        ('definition_faults(jsonb)', $$max_runs,jitter_seconds,expires_seconds$$, $$max_runs,jitter_seconds,spread_seconds,expires_seconds$$),
        ('definition_faults(jsonb)', $$' seconds reach the next due time: give less');
    end if;$$, $$' seconds reach the next due time: give less');
    elsif (d->>'spread_seconds')::numeric between 1 and max_seconds
        and (d->>'spread_seconds')::numeric + coalesce((d->>'jitter_seconds')::numeric, 0) >= every
        and coalesce((d->>'jitter_seconds')::numeric, 0) between 0 and max_seconds
    then
        faults := faults || tactus.fault('spread_too_large', '/spread_seconds', (d->>'spread_seconds') || ' seconds'
            || case when (d->>'jitter_seconds')::numeric > 0 then ', and ' || (d->>'jitter_seconds') || ' of jitter_seconds behind them,' else '' end
            || ' reach the next due time: give less');
    end if;$$),
        ('complete_definition(jsonb, uuid, jsonb, timestamptz)', $$'jitter_seconds', 'expires_seconds'$$, $$'jitter_seconds', 'spread_seconds', 'expires_seconds'$$),
        ('policy_text(jsonb)', $$'"jitter":' || (d->>'jitter_seconds'),$$, $$'"jitter":' || (d->>'jitter_seconds'), '"spread":' || (d->>'spread_seconds'),$$)
    ) as edits (name, part, put) loop
        was := pg_get_functiondef(('tactus.' || edit.name)::regprocedure);
        if strpos(was, edit.part) = 0 then
            raise exception 'tactus.% has no %', edit.name, edit.part;
        end if;
        execute replace(was, edit.part, edit.put);
    end loop;
end
$do$;
-- +goose StatementEnd
