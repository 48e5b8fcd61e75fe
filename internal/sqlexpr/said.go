package sqlexpr

// Said is what the headers of an event say of who made it, and why. @actor and @reason are given by whoever writes it;
// without an actor it is the role of the session, and beside it what the application has set (see migration 55).
const Said = `pg_catalog.json_strip_nulls(pg_catalog.json_build_object(` + said + `))`

// SaidOfRun is Said with the trace that a run is part of, @trace, and the run whose task it runs again, @rerun_of.
const SaidOfRun = `pg_catalog.json_strip_nulls(pg_catalog.json_build_object('traceparent', @trace::text,
    'rerunof', @rerun_of::text, ` + said + `))`

const said = `'actor', coalesce(@actor::text, 'role:' || session_user),
    'onbehalfof', case when @actor::text is null then nullif(left(pg_catalog.current_setting('tactus.actor', true), 200), '') end,
    'reason', coalesce(@reason::text, nullif(left(pg_catalog.current_setting('tactus.reason', true), 1000), ''))`
