package servers

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// CreateOwned creates a database and its owner, a role that is not a superuser, unless they exist. It returns the URL
// by which that role connects to the database. Each call gives the role another password: whoever took the port while
// no server had it, and was told the one before, gains nothing.
func (p *Postgres) CreateOwned(ctx context.Context, database, role string) (url string, err error) {
	if err := p.CreateDatabase(ctx, database); err != nil {
		return "", err
	}
	conn, err := p.connect(ctx, database)
	if err != nil {
		return "", fmt.Errorf("create role %s: %w", role, err)
	}
	defer conn.Close(ctx)
	var there bool
	if err := conn.QueryRow(ctx, "select exists (select from pg_roles where rolname = $1)",
		role).Scan(&there); err != nil {
		return "", fmt.Errorf("create role %s: %w", role, err)
	}
	how, password := "create", NewPassword()
	if there {
		how = "alter"
	}
	name := pgx.Identifier{role}.Sanitize()
	for _, statement := range []string{
		fmt.Sprintf("%s role %s login nosuperuser nocreatedb nocreaterole password '%s'", how, name, password),
		fmt.Sprintf("alter database %s owner to %s", pgx.Identifier{database}.Sanitize(), name),
		strings.ReplaceAll(handOver, ":role", name),
	} {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return "", fmt.Errorf("create role %s: %w", role, err)
		}
	}
	return p.urlOf(role, password, database), nil
}

// handOver makes the role the owner of what the superuser owns in the database: earlier versions did everything as the
// superuser. REASSIGN OWNED cannot do this, because the superuser also owns objects of the system.
const handOver = `
do $$
declare
    one text;
    super constant oid := (select oid from pg_catalog.pg_roles where rolname = current_user);
begin
    for one in
        with mine as (
            select oid, nspname from pg_catalog.pg_namespace where nspname !~ '^pg_' and nspname <> 'information_schema'
        )
        select format('schema %I', n.nspname) from pg_catalog.pg_namespace n join mine using (oid)
            where n.nspowner = super and n.nspname <> 'public'
        union all
        select format('%s %s', case c.relkind when 'S' then 'sequence' when 'v' then 'view' when 'm' then 'materialized view' else 'table' end, c.oid::regclass)
        from pg_catalog.pg_class c join mine on mine.oid = c.relnamespace
        where c.relowner = super and c.relkind in ('r', 'p', 'v', 'm', 'S') and not exists (
            select from pg_catalog.pg_depend d where d.classid = 'pg_catalog.pg_class'::regclass and d.objid = c.oid
                and (d.deptype = 'e' or c.relkind = 'S' and d.deptype in ('a', 'i')))
        union all
        select format('routine %s', f.oid::regprocedure) from pg_catalog.pg_proc f join mine
            on mine.oid = f.pronamespace
        where f.proowner = super and f.prokind <> 'a' and not exists (
            select from pg_catalog.pg_depend d where d.classid = 'pg_catalog.pg_proc'::regclass and d.objid = f.oid
                and d.deptype = 'e')
        union all
        select format('type %s', t.oid::regtype) from pg_catalog.pg_type t join mine on mine.oid = t.typnamespace
        where t.typowner = super and t.typtype in ('e', 'd') and not exists (
            select from pg_catalog.pg_depend d where d.classid = 'pg_catalog.pg_type'::regclass and d.objid = t.oid
                and d.deptype = 'e')
    loop
        execute format('alter %s owner to :role', one);
    end loop;
end $$`
