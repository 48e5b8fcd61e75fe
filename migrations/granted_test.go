package migrations_test

import (
	"fmt"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/migrations"
)

// roled is a database whose roles were made as docs/roles.md has it, with a prefix of the test's own.
type roled struct {
	*testing.T
	superuser, prefix string
}

func newRoled(t *testing.T) roled {
	t.Helper()
	superuser := testenv.EmptyURL(t)
	at, err := url.Parse(superuser)
	if err != nil {
		t.Fatal(err)
	}
	r := roled{t, superuser, strings.TrimPrefix(at.Path, "/") + "_"}
	for _, kind := range append([]string{"owner"}, migrations.Kinds...) {
		t.Cleanup(func() {
			testenv.Execute(t, superuser, `drop owned by `+r.prefix+kind+` cascade`, `drop role `+r.prefix+kind)
		})
	}
	for range 2 { // the second time changes nothing
		testenv.Execute(t, superuser, migrations.MakeRoles(r.prefix)...)
	}
	for _, kind := range append([]string{"owner"}, migrations.Kinds...) {
		testenv.Execute(t, superuser, `alter role `+r.prefix+kind+` password 'secret'`)
	}
	if err := migrations.Up(t.Context(), r.as("owner")); err != nil {
		t.Fatal(err)
	}
	return r
}

// as is the database as a role reaches it.
func (r roled) as(kind string) string {
	r.Helper()
	at, err := url.Parse(r.superuser)
	if err != nil {
		r.Fatal(err)
	}
	at.User = url.UserPassword(r.prefix+kind, "secret")
	return at.String()
}

// connect opens one connection as a role.
func (r roled) connect(kind string) *pgx.Conn {
	r.Helper()
	conn, err := pgx.Connect(r.Context(), r.as(kind))
	if err != nil {
		r.Fatal(err)
	}
	r.Cleanup(func() { _ = conn.Close(r.Context()) })
	return conn
}

func (r roled) grant() []string {
	r.Helper()
	did, err := migrations.Grant(r.Context(), r.connect("owner"), nil)
	if err != nil {
		r.Fatal(err)
	}
	return did
}

// runs says which files have statements that a process runs.
var runs = map[string]*regexp.Regexp{
	"api":   regexp.MustCompile(`^\.\./(outbox|internal/(access|api|bulk|catalog|claims|deadletter|detached|importer|notify|pages|revoke|shadow/(prune|read)|tablelocks|unsent|zonewatch))\b`),
	"relay": regexp.MustCompile(`^\.\./(relay|outbox/(partition|judge|invalidate|unjudged)|internal/(access/(book|guard)|claims|deadletter/count|detached|notify|redeliver|revoke|shadow/prune|tablelocks|unsent|zonewatch))`),
	"beat":  regexp.MustCompile(`^\.\./(beat|outbox/partition|relay/ledger/(installation|refusal)|internal/(access/(book|guard)|deadletter/count|detached|results|shadow|tablelocks|zonewatch))`),
}

// elsewhere are statements in those files that another process, or a command, runs.
var elsewhere = map[string]*regexp.Regexp{
	"api":   regexp.MustCompile(`/notify/(sink|service|courier)\.go`),
	"relay": regexp.MustCompile(`/notify/store\.go`),
	"beat":  regexp.MustCompile(`/ledger/refusal\.go`),
}

// TestProcessesMayRunTheirStatements has PostgreSQL plan each statement of a process as the role of the process, which
// looks at every right that running it takes.
func TestProcessesMayRunTheirStatements(t *testing.T) {
	t.Parallel()
	r := newRoled(t)
	if did := r.grant(); len(did) == 0 {
		t.Fatal("nothing was granted")
	}
	if did := r.grant(); len(did) > 0 {
		t.Errorf("the second time it did %q", did)
	}
	for process, files := range runs {
		conn, n := r.connect(process), 0
		for _, s := range statements(t) {
			if !files.MatchString(s.where) || elsewhere[process] != nil && elsewhere[process].MatchString(s.where) {
				continue
			}
			for _, fault := range explained(t, conn, s.sql) {
				t.Errorf("%s: %s: %s", process, s.where, fault)
			}
			n++
		}
		if n < 20 {
			t.Errorf("%s runs %d statements: the search is broken", process, n)
		}
	}
}

// explained plans a statement with parameters that are null, and returns which rights are missing.
func explained(t *testing.T, conn *pgx.Conn, sql string) (faults []string) {
	t.Helper()
	if strings.Contains(sql, "@") {
		var err error
		if sql, _, err = (pgx.NamedArgs{}).RewriteQuery(t.Context(), conn, sql, nil); err != nil {
			t.Fatal(err)
		}
	}
	for one := range strings.SplitSeq(sql, ";\n") {
		prepared, err := conn.Prepare(t.Context(), "one", one)
		if err != nil {
			t.Fatalf("%s: %v", one, err)
		}
		nulls := ""
		if n := len(prepared.ParamOIDs); n > 0 {
			nulls = "(null" + strings.Repeat(", null", n-1) + ")"
		}
		_, err = conn.Exec(t.Context(), fmt.Sprintf("explain execute one%s", nulls), pgx.QueryExecModeSimpleProtocol)
		if err != nil && strings.Contains(err.Error(), "42501") {
			faults = append(faults, err.Error())
		} else if err != nil {
			t.Logf("%v: %s", err, one)
		}
		if err := conn.Deallocate(t.Context(), "one"); err != nil {
			t.Fatal(err)
		}
	}
	return faults
}

// TestEveryTableHasALine compares roles.txt with the tables of the schema.
func TestEveryTableHasALine(t *testing.T) {
	t.Parallel()
	conn, err := pgx.Connect(t.Context(), testenv.DirectURL(t))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	text, err := os.ReadFile("roles.txt")
	if err != nil {
		t.Fatal(err)
	}
	there := linesOf(t, conn, `select relname from pg_class where relnamespace = 'tactus'::regnamespace
		and relkind in ('r', 'p', 'v', 'm', 'f') and (not relispartition or relname in ('outbox_happening', 'outbox_run', 'outbox_schedule', 'runs_default')) order by 1`)
	var listed []string
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, "#") {
			listed = append(listed, strings.Fields(line)[0])
		}
	}
	if !slices.Equal(there, listed) {
		t.Errorf("roles.txt has %q, and the schema %q", listed, there)
	}
}
