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
const readSettings = `
select pg_catalog.current_setting('search_path'), pg_catalog.array_to_string(pg_catalog.current_schemas(true), ','),
    (select setting::bigint from pg_catalog.pg_settings where name operator(pg_catalog.=) 'statement_timeout'),
    (select pg_catalog.min(name) from pg_catalog.pg_settings where name operator(pg_catalog.=) any ($1::text[]) and setting operator(pg_catalog.=) 'off'),
    pg_catalog.current_setting('jit')::boolean
        and pg_catalog.current_setting('jit_above_cost')::float8 operator(pg_catalog.>=) 0
        and pg_catalog.current_setting('jit_above_cost')::float8 operator(pg_catalog.<) $2::float8,
    pg_catalog.current_setting('jit_above_cost'),
    (select pg_catalog.min(n.nspname::text) from pg_catalog.pg_namespace n
        where n.nspname operator(pg_catalog.=) any (pg_catalog.current_schemas(false))
            and n.nspname operator(pg_catalog.<>) 'pg_catalog'
            and exists (` + mayCreateIn + `))`

// mayCreateIn selects roles that may put something into the schema n: not superusers, and not those that can act as the
// session's own role anyway.
const mayCreateIn = `
            select from pg_catalog.pg_roles r, (
                select n.nspowner as holder
                union all
                select a.grantee from pg_catalog.aclexplode(n.nspacl) a
                    where a.privilege_type operator(pg_catalog.=) 'CREATE'
            ) may
            where r.rolcanlogin and not r.rolsuper and not pg_catalog.pg_has_role(r.oid, current_user, 'member')
                and (may.holder operator(pg_catalog.=) 0::oid or pg_catalog.pg_has_role(r.oid, may.holder, 'member'))`

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
	var off, open *string
	var compiles bool
	err := conn.QueryRow(ctx, readSettings, pgx.QueryExecModeExec, plans(), leastCompiled).Scan(&path, &schemas,
		&timeout, &off, &compiles, &above, &open)
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
