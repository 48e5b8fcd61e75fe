package migrations

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/tactus-dev/tactus/internal/postgres"
)

// State is what a database has of the migrations that this program knows.
type State struct {
	Applied []int64  // in ascending order, those included that only a later program knows
	Missing []string // the names of the files that have not been applied, in their order
	Lacking []string // columns that an applied migration makes, and that are not there: TABLE.COLUMN (FILE)

	encoding string
}

// Querier is a pool or a connection.
type Querier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// stateSQL reads all of it at once. The columns that an older program knows are not asked for once a later one has
// migrated, because that one may have dropped what nobody uses any more.
const stateSQL = `
with applied as (
    select distinct version_id as version from tactus.migrations where is_applied and version_id > 0
)
select (select coalesce(array_agg(version order by version), '{}') from applied), current_setting('server_encoding'),
    (select coalesce(array_agg(want.place order by want.place), '{}')
     from unnest($1::bigint[], $2::text[], $3::text[]) with ordinality want (version, of_table, name, place)
     join applied using (version)
     where not exists (
        select from pg_attribute a join pg_class c on c.oid = a.attrelid
        where c.relnamespace = 'tactus'::regnamespace and c.relname = want.of_table and a.attname = want.name
            and a.attnum > 0 and not a.attisdropped))`

// Look reads the state of a database, and writes nothing. It reads nothing in a schema in which somebody else has a
// hand: what looks like the table of migrations may be a view with a function behind it.
func Look(ctx context.Context, db Querier) (s State, err error) {
	known, err := sources()
	if err != nil {
		return s, err
	}
	want, err := allEffects()
	if err != nil {
		return s, err
	}
	versions, tables, names := make([]int64, 0, len(want.columns)), []string{}, []string{}
	for _, c := range want.columns {
		versions, tables, names = append(versions, c.version), append(tables, c.table), append(names, c.name)
	}
	there, err := postgres.Hands(func(sql string) interface{ Scan(...any) error } { return db.QueryRow(ctx, sql) })
	if err != nil {
		return s, err
	}
	var lacking []int64
	if there { // what somebody else makes meanwhile is not read
		err = db.QueryRow(ctx, stateSQL, versions, tables, names).Scan(&s.Applied, &s.encoding, &lacking)
		if refused, ok := errors.AsType[*pgconn.PgError](err); ok && refused.Code == "42P01" {
			err = nil // nobody has migrated yet
		}
		if err != nil {
			return s, fmt.Errorf("read the schema's version: %w", err)
		}
	}
	for _, f := range known {
		if !slices.Contains(s.Applied, f.version) {
			s.Missing = append(s.Missing, f.name)
		}
	}
	if len(s.Later()) > 0 {
		return s, nil
	}
	for _, place := range lacking {
		c := want.columns[place-1]
		s.Lacking = append(s.Lacking, fmt.Sprintf("%s.%s (%s)", c.table, c.name, nameOf(known, c.version)))
	}
	return s, nil
}

// Version is the highest one that has been applied, or 0.
func (s State) Version() int64 {
	if len(s.Applied) == 0 {
		return 0
	}
	return s.Applied[len(s.Applied)-1]
}

// Later are the versions that only a later program knows.
func (s State) Later() []int64 {
	past := func(version, newest int64) int { return cmp.Compare(version, newest+1) }
	first, _ := slices.BinarySearchFunc(s.Applied, Newest(), past)
	return s.Applied[first:]
}

// Newest is the highest version that this program knows.
func Newest() int64 {
	all, err := sources()
	if err != nil { // of files that are part of the program
		panic(err)
	}
	return all[len(all)-1].version
}

// ready returns why this program cannot use the schema. It runs without the newest of its migrations, too, unless a
// later program has migrated and passed that one over.
func (s State) ready() error {
	known, err := sources()
	if err != nil {
		return err
	}
	newest := known[len(known)-1].name
	switch {
	case len(s.Applied) == 0:
		return postgres.ErrNoSchema
	case len(s.Missing) > 1, len(s.Missing) == 1 && (s.Missing[0] != newest || len(s.Later()) > 0):
		return fmt.Errorf(`the schema lacks %s: run "tactus migrate"`, few(s.Missing))
	}
	return s.whole()
}

// whole refuses a schema in which something is missing that its migrations make.
func (s State) whole() error {
	if len(s.Lacking) == 0 {
		return nil
	}
	return fmt.Errorf("the schema lacks %s, although the migrations that make them have been applied: "+
		"somebody has dropped them, or they were made by another text of these migrations; "+
		"restore them from a backup, or add them by hand as the files in migrations/ say", few(s.Lacking))
}

const mostNamed = 8

// few names the first of many.
func few(names []string) string {
	if len(names) <= mostNamed {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:mostNamed], ", "), len(names)-mostNamed)
}

// source is a migration that this program has.
type source struct {
	version int64
	name    string // 0001_schema
}

// sources are all of them, in ascending order.
func sources() (all []source, err error) {
	entries, err := files.ReadDir(".")
	if err != nil {
		return nil, fmt.Errorf("read migrations: %w", err)
	}
	for _, e := range entries { // in the order of their names, which begin with four digits
		number, _, _ := strings.Cut(e.Name(), "_")
		version, err := strconv.ParseInt(number, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("the migration %s has no number: %w", e.Name(), err)
		}
		all = append(all, source{version, strings.TrimSuffix(e.Name(), ".sql")})
	}
	return all, nil
}

func nameOf(known []source, version int64) string {
	for _, f := range known {
		if f.version == version {
			return f.name
		}
	}
	return strconv.FormatInt(version, 10)
}
