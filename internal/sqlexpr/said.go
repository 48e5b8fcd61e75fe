package sqlexpr

// Said is what the headers of an event say of who made it, and why, and of the trace that it is part of. @actor,
// @reason and @trace are given by whoever writes it; without an actor it is the role of the session, and beside it what
// the application has set (see migrations 66 and 101).
const Said = `pg_catalog.json_strip_nulls(pg_catalog.json_build_object(` + traced + `, ` + said + `))`

// SaidOfRun is Said with the run whose task it runs again, @rerun_of.
const SaidOfRun = `pg_catalog.json_strip_nulls(pg_catalog.json_build_object(` + traced + `,
    'rerunof', @rerun_of::text, ` + said + `))`

// traced takes nothing that the application has set but a trace context (W3C's traceparent).
const traced = `'traceparent', coalesce(@trace::text, substring(pg_catalog.current_setting('tactus.traceparent', true)
        from '^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$'))`

const said = `'actor', coalesce(@actor::text, 'role:' || session_user),
    'onbehalfof', case when @actor::text is null then nullif(left(pg_catalog.current_setting('tactus.actor', true), 200), '') end,
    'reason', coalesce(@reason::text, nullif(left(pg_catalog.current_setting('tactus.reason', true), 1000), ''))`
