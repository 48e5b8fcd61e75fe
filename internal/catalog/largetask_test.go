package catalog_test

import (
	"testing"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/domain/handover"
	"github.com/tactus-dev/tactus/internal/catalog"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/outbox"
)

// TestTasksAreFoundWithoutTheirDocuments filters schedules with documents of 250 KB by task, without reading a
// document.
func TestTasksAreFoundWithoutTheirDocuments(t *testing.T) {
	t.Parallel()
	pool, effort := testenv.CountEffort(t, testenv.Connect(t, testenv.DirectURL(t)))
	store := outbox.NewStore(pool, "", handover.Limits{}.Check)
	if _, err := store.Create(t.Context(), domain.Definition{Name: "n", TaskName: "t", CronExpression: "* * * * *"}, "", nil); err != nil {
		t.Fatal(err)
	}
	if _, err := pool.Exec(t.Context(), `
insert into tactus.schedules (id, name, version, enabled, trigger, policy, effective_from, trigger_set_at, created_at, updated_at, category, tags, definition, task)
select gen_random_uuid(), name || n, version, enabled, trigger, policy, effective_from, trigger_set_at, created_at, updated_at, category, tags, definition,
    json_build_object('kwargs', json_build_object('x', repeat('x', 250000)), 'task_name', 'app.large')
from tactus.schedules, generate_series(1, 1000) n`); err != nil {
		t.Fatal(err)
	}
	for task, want := range map[string]int64{"app.large": 1000, "t": 1, "none": 0} {
		blocks, _ := effort.Of(func() {
			if _, total, err := catalog.New(pool).List(t.Context(), catalog.Filter{Task: task, Limit: 50}); err != nil || total != want {
				t.Errorf("%s: %d, want %d, %v", task, total, want, err)
			}
		})
		if t.Logf("%s: %d blocks", task, blocks); blocks > 2000 { // all documents take more than 3000
			t.Errorf("%s: %d blocks", task, blocks)
		}
	}
}
