package notify_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tactus-dev/tactus/internal/sqlexpr"
)

// endsMany is a statement that has ended all runs of a state, and tells of them.
const endsMany = `
with ended as materialized (select r as happened from tactus.runs r where status = $1),` +
	sqlexpr.Tell + `ended` + sqlexpr.Told + ` select count(*) from ended`

// plan is a part of an executed plan.
type plan struct {
	Of    string `json:"Subplan Name"`
	Hit   int    `json:"Shared Hit Blocks"`
	Read  int    `json:"Shared Read Blocks"`
	Parts []plan `json:"Plans"`
}

// telling returns how many blocks a plan has touched to tell.
func (p plan) telling() int {
	if p.Of == "CTE told" {
		return p.Hit + p.Read
	}
	touched := 0
	for _, part := range p.Parts {
		touched += part.telling()
	}
	return touched
}

// telling returns how many blocks endsMany touches to tell. What it writes is undone.
func telling(t *testing.T, pool *pgxpool.Pool, status string) int {
	t.Helper()
	tx, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(t.Context()) }()
	var text string
	for range 2 { // the first time it looks at catalogs as well
		if err := tx.QueryRow(t.Context(), "explain (analyze, buffers, format json) "+endsMany, status).Scan(&text); err != nil {
			t.Fatal(err)
		}
	}
	var plans []struct{ Plan plan }
	if err := json.Unmarshal([]byte(text), &plans); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(text, `"CTE told"`) {
		t.Fatalf("nothing tells in %s", text)
	}
	return plans[0].Plan.telling()
}

// TestWhatTellingCosts counts the blocks that a statement which ends a thousand runs touches to tell of them: next to
// nothing where nobody wants to hear of their state, however many rules there are, and some tens for each otherwise.
func TestWhatTellingCosts(t *testing.T) {
	t.Parallel()
	const runs = 1000
	w := newWorld(t, false)
	first := w.schedule("s")
	w.exec(`
do $$ declare columns text; begin
    select string_agg(quote_ident(column_name), ', ') into columns from information_schema.columns
    where table_schema = 'tactus' and table_name = 'schedules' and column_name not in ('id', 'name') and is_generated = 'NEVER';
    execute 'insert into tactus.schedules (id, name, ' || columns || ') select gen_random_uuid(), name || n, ' || columns
        || ' from tactus.schedules, generate_series(2, ` + fmt.Sprint(runs) + `) n where id = '` + "|| quote_literal('" + first.String() + "')" + `;
end $$`)
	for _, status := range []string{"succeeded", "failed"} {
		w.exec(`
insert into tactus.runs (id, schedule_id, due_at, slot, kind, status, schedule_version, finished_at)
select u, id, clock_timestamp(), u, 'manual', $1, 1, clock_timestamp()
from (select gen_random_uuid() as u, id from tactus.schedules) s`, status)
	}
	for _, c := range []struct {
		rules       int
		status      string
		least, most int
	}{
		{0, "failed", 0, 2},
		{1, "succeeded", 0, 10},
		{manyRules, "succeeded", 0, 100},
		{1, "failed", runs, 40 * runs},
	} {
		w.exec(`delete from tactus.notification_rules`)
		w.exec(`
insert into tactus.notification_rules (id, name, version, enabled, states, definition, created_at, updated_at)
select gen_random_uuid(), 'r' || n, 1, true, '{failed}', '{"tags":["none"],"on":["failed"],"to":"slack"}', now(), now()
from generate_series(1, $1::int) n`, c.rules)
		w.exec(`vacuum analyze tactus.notification_rules`)
		n := telling(t, w.pool, c.status)
		t.Logf("%d rules of failures, %d runs %s: %d blocks", c.rules, runs, c.status, n)
		if n < c.least || n > c.most {
			t.Errorf("want %d to %d", c.least, c.most)
		}
	}
}
