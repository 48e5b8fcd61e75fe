package catalog_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/catalog"
	"github.com/tactus-dev/tactus/internal/testenv"
)

const fillRuns = `
insert into tactus.runs (id, schedule_id, due_at, kind, status, schedule_version, fired_at, finished_at, error)
select gen_random_uuid(), (array[%s]::uuid[])[1 + k %% 20], due, 'scheduled', case when k %% 4 = 0 then 'failed' else 'succeeded' end, 1, due, due,
    case when k %% 4 = 0 then 'ValueError()' end
from generate_series(%d, %d) k, lateral (select now() - k * interval '20 seconds') at (due) order by due`

// TestPagesOfRunsCostTheSame reads full pages, and pages whose conditions no run meets, among thirty thousand runs of a
// week and among ten times as many.
func TestPagesOfRunsCostTheSame(t *testing.T) {
	t.Parallel()
	pool, effort := testenv.CountEffort(t, testenv.Connect(t, testenv.DirectURL(t)))
	w := makeRuns(t, pool, 20, 0)
	c := catalog.New(pool)
	var ids strings.Builder
	for _, id := range w.schedules {
		ids.WriteString(fmt.Sprintf(",'%s'", id))
	}
	dayAgo := time.Now().Add(-24 * time.Hour)
	filters := map[string]catalog.RunFilter{
		"all": {}, "failed": {Statuses: []domain.RunStatus{domain.Failed}}, "unknown": {Statuses: []domain.RunStatus{domain.Unknown}},
		"worker": {Worker: "none"}, "error": {Error: "nothing"}, "schedule": {Schedule: &w.schedules[3]},
		"tag": {Tags: []string{"tag1"}}, "task": {Task: "app.t1", Statuses: []domain.RunStatus{domain.Failed}}, "queue": {Queue: "none"},
		"due": {DueTo: &dayAgo}, "finished": {FinishedTo: &dayAgo},
	}
	cost := func() map[string]int {
		if _, err := pool.Exec(t.Context(), "vacuum analyze tactus.runs"); err != nil {
			t.Fatal(err)
		}
		blocks := map[string]int{}
		for name, filter := range filters {
			blocks[name], _ = effort.Of(func() {
				if _, err := c.Runs(t.Context(), filter, catalog.Page{Size: 50}); err != nil {
					t.Error(err)
				}
			})
		}
		return blocks
	}
	fill := func(from, to int) {
		if _, err := pool.Exec(t.Context(), fmt.Sprintf(fillRuns, ids.String()[1:], from, to)); err != nil {
			t.Fatal(err)
		}
	}
	fill(1, 30_000)
	before := cost()
	fill(30_001, 300_000)
	for name, after := range cost() {
		t.Logf("%s: %d blocks, then %d", name, before[name], after)
		if after > before[name]*13/10+60 {
			t.Errorf("%s: %d blocks among 30000 runs, %d among 300000", name, before[name], after)
		}
	}
}
