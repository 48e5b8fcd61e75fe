package postgres

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// readSettings looks at what a pooler's sessions have. A schema before pg_catalog gives functions and operators another
// meaning. So does one behind it, if others may put something there: of several functions of a name, the one that fits
// the types of the arguments exactly goes before one that takes any.
var readSettings = `
select pg_catalog.current_setting('search_path'), pg_catalog.array_to_string(pg_catalog.current_schemas(true), ','),
    (select setting::bigint from pg_catalog.pg_settings where name operator(pg_catalog.=) 'statement_timeout'),
    (select pg_catalog.min(name) from pg_catalog.pg_settings where name operator(pg_catalog.=) any ($1::text[]) and setting operator(pg_catalog.=) 'off'),
    pg_catalog.current_setting('jit')::boolean
        and pg_catalog.current_setting('jit_above_cost')::float8 operator(pg_catalog.>=) 0
        and pg_catalog.current_setting('jit_above_cost')::float8 operator(pg_catalog.<) $2::float8,
    pg_catalog.current_setting('jit_above_cost'),
    (select pg_catalog.min(n.nspname::text) from pg_catalog.pg_namespace n
        where ` + elsewhere + ` and exists (select from ` + mayCreateIn + ` where ` + Stranger("may.holder", "current_user") + `)),
    (select pg_catalog.min(o.kind operator(pg_catalog.||) ' ' operator(pg_catalog.||) n.nspname::text
            operator(pg_catalog.||) '.' operator(pg_catalog.||) o.name)
        from pg_catalog.pg_namespace n, ` + calledIn + `
        where ` + elsewhere + ` and ` + Stranger("o.holder", "current_user") + `)`

// elsewhere is the condition that names are looked for in the schema n, behind pg_catalog.
const elsewhere = `n.nspname operator(pg_catalog.=) any (pg_catalog.current_schemas(false))
            and n.nspname operator(pg_catalog.<>) 'pg_catalog'`

// mayCreateIn are the roles that may put something into the schema n.
const mayCreateIn = `(
                select n.nspowner as holder
                union all
                select a.grantee from pg_catalog.aclexplode(n.nspacl) a
                    where a.privilege_type operator(pg_catalog.=) 'CREATE'
            ) may`

// calledIn are the owners of what a statement may call that is in the schema n: functions, operators, and types whose
// name reads like a function's, with a check of their own. One of each is named.
const calledIn = `lateral (
            select proowner as holder, 'the function' as kind, pg_catalog.min(proname::text) as name
                from pg_catalog.pg_proc where pronamespace operator(pg_catalog.=) n.oid group by proowner
            union all
            select oprowner, 'the operator', pg_catalog.min(oprname::text) from pg_catalog.pg_operator
                where oprnamespace operator(pg_catalog.=) n.oid group by oprowner
            union all
            select typowner, 'the type', pg_catalog.min(typname::text) from pg_catalog.pg_type
                where typnamespace operator(pg_catalog.=) n.oid and typelem operator(pg_catalog.=) 0::oid
                    and typtype operator(pg_catalog.=) any ('{b,d,r}'::"char"[]) group by typowner
        ) o`

// leastTimeout is what one statement may take, in milliseconds: the beat reads all schedules at once. What takes longer
// than that sets a limit of its own for its transaction.
const leastTimeout = 5000

// leastCompiled is what a statement may cost at least without being compiled, which takes longer than all of ours that
// are short.
const leastCompiled = 10_000

// plans are the settings of ours that allow a way of planning.
func plans() (names []string) {
	for name := range own {
		if strings.HasPrefix(name, "enable_") {
			names = append(names, name)
		}
	}
	return names
}

// check refuses a pooler's session in which statements would mean something else, or be ended too early.
func check(ctx context.Context, conn *pgx.Conn) error {
	var path, schemas, above string
	var timeout int64
	var off, open, foreign *string
	var compiles bool
	err := conn.QueryRow(ctx, readSettings, pgx.QueryExecModeExec, plans(), leastCompiled).Scan(&path, &schemas,
		&timeout, &off, &compiles, &above, &open, &foreign)
	if Canceled(err) {
		return tooShort("less than this took")
	}
	if err != nil {
		return fmt.Errorf("look at a session's settings: %w", err)
	}
	if first, _, _ := strings.Cut(schemas, ","); first != "pg_catalog" && !strings.HasPrefix(first, "pg_temp") {
		return refusal("search_path", path, "gives functions another meaning", "pg_catalog")
	}
	if open != nil {
		return refusal("search_path", path,
			fmt.Sprintf("has the schema %s, where other roles may put functions that would "+
				"run with the rights of this one", *open), "pg_catalog")
	}
	if foreign != nil {
		return refusal("search_path", path,
			fmt.Sprintf("has %s of another role, which could run with the rights of this one", *foreign), "pg_catalog")
	}
	if timeout > 0 && timeout < leastTimeout {
		return tooShort(fmt.Sprintf("%dms", timeout))
	}
	if off != nil {
		return refusal(*off, "off", "makes statements slow", "on")
	}
	if compiles {
		return refusal("jit_above_cost", above, "has short statements compiled", "100000")
	}
	return nil
}

func tooShort(is string) error {
	return refusal("statement_timeout", is, "is too short to read all schedules",
		fmt.Sprintf("'%ds'", leastTimeout/1000))
}

func refusal(name, is, why, want string) error {
	return fmt.Errorf("%s is set to %s for this role or database, which %s, and behind a pooler tactus cannot have a setting of its own: "+
		"run alter role ... in database ... set %s = %s, or connect directly", name, is, why, name, want)
}
