package migrations

import (
	"context"
	_ "embed"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5"
)

// Kinds are the roles beside the owner, by what is done with them.
var Kinds = []string{"api", "relay", "beat", "upstream", "readonly"}

// rolesText says what each of them may do with each table, but for upstreams, which call functions and no more.
//
//go:embed roles.txt
var rolesText string

// letters are the privileges that roles.txt abbreviates, with the columns that they are for where not for all.
var letters = map[rune]struct{ privilege, columns string }{
	'r': {"select", ""}, 'i': {"insert", ""}, 'u': {"update", ""}, 'd': {"delete", ""},
	'e': {"insert", " (aggregate_id, data, headers, occurred_at, topic, type, version)"},
	'k': {"update", " (last_used_at)"},
}

// ofProcesses are the functions that run with the owner's rights, and that processes call.
var ofProcesses = []string{"make_partition", "make_month", "drop_month", "drop_events", "drop_detached"}

// tableRights are the privileges on each table by kind, in the order of roles.txt.
type tableRights struct {
	table string
	of    map[string][]string
}

var allRights = sync.OnceValues(func() (all []tableRights, err error) {
	var kinds []string
	for line := range strings.Lines(rolesText) {
		words := strings.Fields(line)
		if len(words) > 1 && words[0] == "#" && words[1] == "table" {
			kinds = words[2:]
		}
		if len(words) == 0 || words[0] == "#" {
			continue
		}
		if len(words) != len(kinds)+1 {
			return nil, fmt.Errorf("roles.txt: %q has no right for each of %v", line, kinds)
		}
		one := tableRights{words[0], map[string][]string{}}
		for i, kind := range kinds {
			for _, letter := range strings.Trim(words[i+1], "-") {
				l := letters[letter]
				one.of[kind] = append(one.of[kind], l.privilege+l.columns)
			}
		}
		all = append(all, one)
	}
	return all, nil
})

// Role is a role of a kind.
type Role struct{ Kind, Name string }

// Roles are those whose names begin with a prefix, one of each kind.
func Roles(prefix string) (all []Role) {
	for _, kind := range Kinds {
		all = append(all, Role{kind, prefix + kind})
	}
	return all
}

// MakeRoles is what a superuser runs, once in each database: it makes the roles that are not there, and has them look
// up names in pg_catalog alone and trust the owner's schema. Nobody can log in as a role before it has a password, or
// what else pg_hba.conf asks for.
func MakeRoles(prefix string) (statements []string) {
	owner := prefix + "owner"
	for _, r := range append([]Role{{"owner", owner}}, Roles(prefix)...) {
		statements = append(statements,
			fmt.Sprintf(`do $$ begin if not exists (select from pg_catalog.pg_roles where rolname = %s) then `+
				`create role %s login; end if; end $$`, literal(r.Name), name(r.Name)),
			fmt.Sprintf(`alter role %s set search_path = pg_catalog`, name(r.Name)))
		if r.Kind != "owner" {
			statements = append(statements,
				fmt.Sprintf(`alter role %s set tactus.owner = %s`, name(r.Name), literal(owner)),
				fmt.Sprintf(`alter role %s set tactus.role = %s`, name(r.Name), literal(r.Kind)))
		}
		statements = append(statements, onDatabase("connect", r.Name))
	}
	return append(statements, onDatabase("create", owner))
}

// MissingRoles are the names of those that MakeRoles would make.
func MissingRoles(ctx context.Context, conn *pgx.Conn, prefix string) (names []string, err error) {
	names = append(namesOf(Roles(prefix)), prefix+"owner")
	rows, err := conn.Query(ctx, existingRoles, names)
	if err != nil {
		return nil, fmt.Errorf("look at the roles: %w", err)
	}
	there, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("look at the roles: %w", err)
	}
	return slices.DeleteFunc(names, func(name string) bool { return slices.Contains(there, name) }), nil
}

func onDatabase(privilege, role string) string {
	return fmt.Sprintf(`do $$ begin execute format('grant %s on database %%I to %%I', current_database(), %s); end $$`,
		privilege, literal(role))
}

func name(role string) string { return pgx.Identifier{role}.Sanitize() }

func literal(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }

const (
	// givenRoles are the roles that a superuser has given to the owner of this session.
	givenRoles = `
select r.rolname, (select substr(c, 13) from unnest(s.setconfig) c where c like 'tactus.role=%')
from pg_catalog.pg_db_role_setting s join pg_catalog.pg_roles r on r.oid = s.setrole
where s.setdatabase = 0 and 'tactus.owner=' || current_user = any (s.setconfig) order by 1`

	existingRoles = `select rolname from pg_catalog.pg_roles where rolname = any ($1::text[])`

	// granted is what the roles have of rights on the schema, one by one, in the words of wanted.
	granted = `
with roles as (select oid, rolname from pg_catalog.pg_roles where rolname = any ($1::text[])),
have (role, item) as (
    select a.grantee, lower(a.privilege_type) || ' on schema tactus'
    from pg_namespace n, aclexplode(n.nspacl) a where nspname = 'tactus'
    union all
    select a.grantee, lower(a.privilege_type)
        || case c.relkind when 'S' then ' on sequence tactus.' else ' on tactus.' end || c.relname
    from pg_class c, aclexplode(c.relacl) a where c.relnamespace = 'tactus'::regnamespace
    union all
    select x.grantee, lower(x.privilege_type)
        || ' (' || string_agg(a.attname, ', ' order by a.attname) || ') on tactus.' || c.relname
    from pg_class c join pg_attribute a on a.attrelid = c.oid and not a.attisdropped, aclexplode(a.attacl) x
    where c.relnamespace = 'tactus'::regnamespace group by x.grantee, x.privilege_type, c.relname
    union all
    select a.grantee, 'execute on function ' || p.oid::regprocedure
    from pg_proc p, aclexplode(p.proacl) a where pronamespace = 'tactus'::regnamespace
)
select rolname, item from have join roles on roles.oid = have.role order by 1, 2`

	// callable are the functions of the schema, with whether they run with the owner's rights.
	callable = `
select oid::regprocedure::text, proname, prosecdef from pg_proc where pronamespace = 'tactus'::regnamespace`

	tables = `select relname from pg_class where relnamespace = 'tactus'::regnamespace and relkind in ('r', 'p')`
)

// Grant gives roles what they lack of their rights, takes away what they have beyond them, and returns the statements
// that it ran. The owner runs it, or a superuser. Without roles it is for those that a superuser has given to the
// owner.
func Grant(ctx context.Context, conn *pgx.Conn, roles []Role) (did []string, err error) {
	err = pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if roles, err = existing(ctx, tx, roles); err != nil || len(roles) == 0 {
			return err
		}
		// Of two that grant at once, one would fail. Nobody else waits for this row for long.
		if _, err := tx.Exec(ctx, `select from tactus.turns where name = 'partitions' for update`); err != nil {
			return err
		}
		if did, err = changes(ctx, tx, roles); err != nil {
			return err
		}
		for _, sql := range did {
			if _, err := tx.Exec(ctx, sql); err != nil {
				return fmt.Errorf("%s: %w", sql, err)
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("grant: %w", err)
	}
	return did, nil
}

// existing returns those of the roles that there are.
func existing(ctx context.Context, tx pgx.Tx, roles []Role) (there []Role, err error) {
	if roles == nil {
		rows, err := tx.Query(ctx, givenRoles)
		if err != nil {
			return nil, err
		}
		type given struct {
			Name string
			Kind *string
		}
		all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[given])
		for _, g := range all {
			if g.Kind != nil && slices.Contains(Kinds, *g.Kind) {
				there = append(there, Role{*g.Kind, g.Name})
			}
		}
		return there, err
	}
	names, err := texts(ctx, tx, existingRoles, namesOf(roles))
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(slices.Clone(roles), func(r Role) bool { return !slices.Contains(names, r.Name) }), nil
}

func namesOf(roles []Role) []string {
	names := make([]string, len(roles))
	for i, r := range roles {
		names[i] = r.Name
	}
	return names
}

func texts(ctx context.Context, tx pgx.Tx, sql string, args ...any) ([]string, error) {
	rows, err := tx.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// changes are the statements that give the roles their rights and no others.
func changes(ctx context.Context, tx pgx.Tx, roles []Role) (statements []string, err error) {
	want, err := wanted(ctx, tx)
	if err != nil {
		return nil, err
	}
	rows, err := tx.Query(ctx, granted, namesOf(roles))
	if err != nil {
		return nil, err
	}
	have := map[string][]string{}
	var role, item string
	if _, err := pgx.ForEachRow(rows, []any{&role, &item}, func() error {
		have[role] = append(have[role], item)
		return nil
	}); err != nil {
		return nil, err
	}
	for _, r := range roles {
		for _, item := range have[r.Name] {
			if !slices.Contains(want[r.Kind], item) {
				statements = append(statements, fmt.Sprintf("revoke %s from %s", item, name(r.Name)))
			}
		}
		for _, item := range want[r.Kind] {
			if !slices.Contains(have[r.Name], item) {
				statements = append(statements, fmt.Sprintf("grant %s to %s", item, name(r.Name)))
			}
		}
	}
	return statements, nil
}

// wanted are the rights of each kind on what is in the schema now.
func wanted(ctx context.Context, tx pgx.Tx) (of map[string][]string, err error) {
	rights, err := allRights()
	if err != nil {
		return nil, err
	}
	there, err := texts(ctx, tx, tables)
	if err != nil {
		return nil, err
	}
	rows, err := tx.Query(ctx, callable)
	if err != nil {
		return nil, err
	}
	of = map[string][]string{}
	for _, kind := range Kinds {
		of[kind] = []string{"usage on schema tactus"}
	}
	var signature, called string
	var definer bool
	if _, err := pgx.ForEachRow(rows, []any{&signature, &called, &definer}, func() error {
		for _, kind := range []string{"api", "relay", "beat"} {
			if !definer || slices.Contains(ofProcesses, called) {
				of[kind] = append(of[kind], "execute on function "+signature)
			}
		}
		return nil
	}); err != nil {
		return nil, err
	}
	for _, kind := range []string{"api", "relay", "beat"} {
		for _, privilege := range []string{"usage", "select"} {
			of[kind] = append(of[kind], privilege+" on sequence tactus.outbox_position")
		}
	}
	for _, t := range rights {
		for kind, privileges := range t.of {
			for _, privilege := range privileges {
				if slices.Contains(there, t.table) {
					of[kind] = append(of[kind], privilege+" on tactus."+t.table)
				}
			}
		}
	}
	return of, nil
}
