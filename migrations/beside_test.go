package migrations_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/internal/sqlexpr"
	"github.com/tactus-dev/tactus/internal/testenv"
)

var ofTheWay = regexp.MustCompile(`/(beat|relay|internal/claims|internal/results)/[a-z]+\.go`)

// TestStatementsWithoutTablesBesideTheWay has Postgres prepare what is run while a table beside the way is locked, and
// looks that it does not name the table.
func TestStatementsWithoutTablesBesideTheWay(t *testing.T) {
	t.Parallel()
	conn, err := pgx.Connect(t.Context(), testenv.DirectURL(t))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	found := statements(t)
	for table, least := range map[string]int{
		"tactus.notification_rules": 5, "tactus.routes": 5, "tactus.unjudged": 2, "tactus.cancellations": 1,
		"tactus.deadletters": 3, "tactus.unlisted": 1,
	} {
		n := 0
		for _, s := range found {
			if !ofTheWay.MatchString(s.where) {
				continue
			}
			without := sqlexpr.SideOf([]string{table}, nil).Without(s.sql)
			if without == s.sql {
				continue
			}
			n++
			if err := prepare(t.Context(), conn, without); err != nil {
				t.Errorf("%s, without %s: %v\n%s", s.where, table, err, without)
			}
			if strings.Contains(s.where, "/beat/") && strings.Contains(without, table) {
				t.Errorf("%s still names %s:\n%s", s.where, table, without)
			}
		}
		if n < least {
			t.Errorf("%d statements can do without %s", n, table)
		}
	}
}

// TestLivingRoutesAreTheRoutes changes routes in all ways, and compares what the copy makes of tasks.
func TestLivingRoutesAreTheRoutes(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	insert := func(pattern, members string) string {
		return fmt.Sprintf(`insert into tactus.routes (pattern, version, source, ignore_result, updated_at, queue, exchange, priority,
			expires_seconds, time_limit_seconds, soft_time_limit_seconds) values ('%s', 1, '', %s)`, pattern, members)
	}
	for _, change := range []string{
		insert("a.b", "false, now(), 'one', null, 3, 10, 20, 15"), insert("a.*", "true, now(), 'many', null, null, null, null, null"),
		insert("a.b?", "false, now(), null, 'x', null, 7, null, null"), insert("*", "false, now(), 'all', null, 9, null, null, null"),
		`update tactus.routes set queue = 'two', priority = null where pattern = 'a.b'`,
		`update tactus.routes set deleted_at = now() where pattern = 'a.*'`, `update tactus.routes set pattern = 'a.c' where pattern = 'a.b'`,
		`update tactus.routes set deleted_at = null where pattern = 'a.*'`, `delete from tactus.routes where pattern = '*'`,
		`truncate tactus.routes`,
	} {
		if _, err := pool.Exec(t.Context(), change); err != nil {
			t.Fatal(err)
		}
		for _, task := range []string{
			`{"task_name":"a.b"}`, `{"task_name":"a.c"}`, `{"task_name":"a.bc"}`, `{"task_name":"a.xyz"}`, `{"task_name":"b"}`,
			`{"task_name":"a.b","queue":"own","priority":1}`, `{"task_name":"a.b","stream":"s"}`,
			`{"task_name":"a.b","exchange":"x"}`, `{"task_name":"a.bc","routing_key":"k"}`,
			`{"task_name":"a.b","ignore_routes":true}`, `{"task_name":"a.b","expires_seconds":1,"ignore_result":false}`,
		} {
			var routed, copied string
			if err := pool.QueryRow(t.Context(), `select tactus.routed($1::json, $1::json)::text, tactus.living_routed($1::json, $1::json)::text`,
				task).Scan(&routed, &copied); err != nil {
				t.Fatal(err)
			}
			if routed != copied {
				t.Errorf("after %s, %s goes by %s, and by the copy %s", change, task, routed, copied)
			}
		}
		var same bool
		if err := pool.QueryRow(t.Context(), `select (select count(*) from tactus.routes where deleted_at is null)
			= (select count(*) from tactus.living_routes)`).Scan(&same); err != nil || !same {
			t.Errorf("after %s the copy has other routes (%v)", change, err)
		}
	}
}
