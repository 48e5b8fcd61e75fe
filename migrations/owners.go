package migrations

import (
	"database/sql"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/internal/postgres"
)

// Whoever owns the schema, or something in it, or may create in it, decides what code of it runs with the rights of who
// calls it. strangerSQL finds a role with a hand in it as which somebody else may act than superusers and those who may
// act as tactus' own role ($1).
var strangerSQL = `
select case holder when 0 then 'everybody' else 'role ' || pg_get_userbyid(holder) end, what, mend from (
    select nspowner as holder, 'owns the schema tactus' as what, 'migrate as that role, or alter schema tactus owner to ' || quote_ident($1::text) as mend
    from pg_namespace where nspname = 'tactus'
    union all
    select a.grantee, 'may create in the schema tactus',
        'revoke create on schema tactus from ' || case a.grantee when 0 then 'public'
            else quote_ident(pg_get_userbyid(a.grantee)) end
    from pg_namespace n, aclexplode(n.nspacl) a where n.nspname = 'tactus' and a.privilege_type = 'CREATE'
    union all
    select relowner, 'owns ' || oid::regclass, 'drop it, or have its owner changed when you know what it is'
    from pg_class where relnamespace = to_regnamespace('tactus') and relkind in ('r', 'p', 'v', 'm', 'f', 'S')
    union all
    select proowner, 'owns ' || oid::regprocedure, 'drop it, or have its owner changed when you know what it is'
    from pg_proc where pronamespace = to_regnamespace('tactus')
    union all
    select oprowner, 'owns the operator ' || oid::regoperator, 'drop it'
    from pg_operator where oprnamespace = to_regnamespace('tactus')
    union all
    select typowner, 'owns the type ' || oid::regtype, 'drop it'
    from pg_type where typnamespace = to_regnamespace('tactus') and typrelid = 0 and typelem = 0
) hand
where ` + postgres.Stranger("holder", "$1::text") + `
order by what <> 'owns the schema tactus', mend limit 1`

// trusted refuses a schema in which somebody else has a hand, who could make code of theirs run as own.
func trusted(own string, scan func(sql, own string, to ...any) error) error {
	var who, what, mend string
	err := scan(strangerSQL, own, &who, &what, &mend)
	if errors.Is(err, pgx.ErrNoRows) || errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look who has a hand in the schema: %w", err)
	}
	return fmt.Errorf("%s %s, and could have code run there with the rights of %s: %s", who, what, own, mend)
}
