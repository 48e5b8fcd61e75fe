package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// ErrNoSchema says that nobody has migrated yet.
var ErrNoSchema = errors.New(`the schema tactus is not there: run "tactus migrate"`)

// ErrForeign is wrapped by what says whose hand is in the schema.
var ErrForeign = errors.New("the schema is not in the hands of this role alone")

// owner is the role that is to own the schema: that of this session, or the one that the setting tactus.owner names.
// Only a superuser gives roles and databases a setting of a name that PostgreSQL does not know, so that nobody else can
// have a session trust them (docs/roles.md).
const owner = `coalesce((select o.rolname from pg_catalog.pg_roles o
            where o.rolname operator(pg_catalog.=) pg_catalog.current_setting('tactus.owner', true)), current_user)`

// Whoever owns the schema, or something in it, or may create in it, decides what code of it runs with the rights of who
// uses it: functions, and also what stands behind a view or a trigger. strangerSQL finds a role with a hand in it as
// which somebody else may act than superusers and those who may act as the role of this session. It reads nothing but
// catalogs, by names that no search_path gives another meaning. It has one row, and there only the first of its columns
// where nobody else has a hand in it.
var strangerSQL = `
select exists (select from pg_catalog.pg_namespace where nspname operator(pg_catalog.=) 'tactus'), found.*
from (select) one left join (
    select case when holder operator(pg_catalog.=) 0::pg_catalog.oid then 'everybody'
        else 'role ' operator(pg_catalog.||) pg_catalog.pg_get_userbyid(holder)::text end,
    what, mend, current_user::text
    from (
        select nspowner as holder, 'owns the schema tactus' as what,
            case when (select rolsuper from pg_catalog.pg_roles where rolname operator(pg_catalog.=) current_user)
            then 'connect as that role if it is the owner of docs/roles.md; nothing needs a superuser'
            else 'connect as that role, or alter schema tactus owner to '
                operator(pg_catalog.||) pg_catalog.quote_ident(current_user::text) end as mend
        from pg_catalog.pg_namespace where nspname operator(pg_catalog.=) 'tactus'
        union all
        select a.grantee, 'may create in the schema tactus',
            'revoke create on schema tactus from ' operator(pg_catalog.||)
                case when a.grantee operator(pg_catalog.=) 0::pg_catalog.oid then 'public'
                else pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(a.grantee)::text) end
        from pg_catalog.pg_namespace n, pg_catalog.aclexplode(n.nspacl) a
        where n.nspname operator(pg_catalog.=) 'tactus' and a.privilege_type operator(pg_catalog.=) 'CREATE'
        union all
        select relowner, 'owns ' operator(pg_catalog.||) oid::pg_catalog.regclass::text,
            'drop it, or have its owner changed when you know what it is'
        from pg_catalog.pg_class where relnamespace operator(pg_catalog.=) pg_catalog.to_regnamespace('tactus')
            and relkind operator(pg_catalog.=) any ('{r,p,v,m,f,S}'::"char"[])
        union all
        select proowner, 'owns ' operator(pg_catalog.||) oid::pg_catalog.regprocedure::text,
            'drop it, or have its owner changed when you know what it is'
        from pg_catalog.pg_proc where pronamespace operator(pg_catalog.=) pg_catalog.to_regnamespace('tactus')
        union all
        select p.proowner, 'owns the function of the trigger ' operator(pg_catalog.||) pg_catalog.quote_ident(t.tgname::text)
                operator(pg_catalog.||) ' on ' operator(pg_catalog.||) c.oid::pg_catalog.regclass::text,
            'drop the trigger'
        from pg_catalog.pg_trigger t
            join pg_catalog.pg_class c on c.oid operator(pg_catalog.=) t.tgrelid
            join pg_catalog.pg_proc p on p.oid operator(pg_catalog.=) t.tgfoid
        where c.relnamespace operator(pg_catalog.=) pg_catalog.to_regnamespace('tactus') and not t.tgisinternal
        union all
        select oprowner, 'owns the operator ' operator(pg_catalog.||) oid::pg_catalog.regoperator::text, 'drop it'
        from pg_catalog.pg_operator where oprnamespace operator(pg_catalog.=) pg_catalog.to_regnamespace('tactus')
        union all
        select typowner, 'owns the type ' operator(pg_catalog.||) oid::pg_catalog.regtype::text, 'drop it'
        from pg_catalog.pg_type where typnamespace operator(pg_catalog.=) pg_catalog.to_regnamespace('tactus')
            and typrelid operator(pg_catalog.=) 0::pg_catalog.oid and typelem operator(pg_catalog.=) 0::pg_catalog.oid
    ) hand
    where ` + Stranger("holder", owner) + `
    order by what operator(pg_catalog.<>) 'owns the schema tactus', mend limit 1
) found (who, what, mend, own) on true`

// Hands looks whether the schema is there, and refuses one in which somebody else has a hand, who could make code of
// theirs run with the rights of this session. Whoever is about to use the schema asks first. row runs a query for its
// one row.
func Hands(row func(sql string) interface{ Scan(to ...any) error }) (there bool, err error) {
	var who, what, mend, own *string
	if err := row(strangerSQL).Scan(&there, &who, &what, &mend, &own); err != nil {
		return false, fmt.Errorf("look who has a hand in the schema: %w", err)
	}
	if who != nil {
		return there, fmt.Errorf("%w: %s %s, and could have code run there with the rights of %s: %s",
			ErrForeign, *who, *what, *own, *mend)
	}
	return there, nil
}

// inOwnHands finishes a connection to the schema. Without a schema there is no connection either: somebody else could
// make it later.
func inOwnHands(ctx context.Context, conn *pgx.Conn) error {
	there, err := Hands(func(sql string) interface{ Scan(...any) error } {
		return conn.QueryRow(ctx, sql, pgx.QueryExecModeExec)
	})
	if err == nil && !there {
		return ErrNoSchema
	}
	return err
}
