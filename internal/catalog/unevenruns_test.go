package catalog_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/access"
	"github.com/tactus-dev/tactus/internal/catalog"
	"github.com/tactus-dev/tactus/internal/testenv"
)

// TestOneScheduleHasAllRuns reads the runs of seventy schedules, of which few have any and one has nearly all, so that
// the planner's average of runs per schedule is right for none. The query reads the runs of each schedule, and not all
// runs for each schedule.
func TestOneScheduleHasAllRuns(t *testing.T) {
	t.Parallel()
	pool, effort := testenv.CountEffort(t, testenv.Connect(t, testenv.DirectURL(t)))
	w := makeRuns(t, pool, 70, 0)
	if _, err := pool.Exec(t.Context(), `
		insert into tactus.runs (id, schedule_id, due_at, slot, kind, status, schedule_version, fired_at, sent_at)
		select gen_random_uuid(), $1, due, gen_random_uuid(), 'backfill', 'sent', 1, due, due
		from generate_series(1, 60000) k, lateral (select now() - k * interval '20 seconds') at (due)
		union all
		select gen_random_uuid(), s.id, due, gen_random_uuid(), 'scheduled', 'sent', 1, due, due
		from (select id from tactus.schedules limit 3) s, generate_series(1, 45) k, lateral (select now() - interval '5 days' + k * interval '1 minute') at (due)`, w.schedules[7]); err != nil {
		t.Fatal(err)
	}
	if _, err := pool.Exec(t.Context(), "vacuum analyze tactus.runs"); err != nil {
		t.Fatal(err)
	}
	c := catalog.New(pool)
	scoped := access.With(t.Context(), access.Principal{Kind: access.Key, Role: access.Read, Scope: access.Scope{"tag:all"}})
	dayAgo, now := time.Now().Add(-12*time.Hour), time.Now()
	filters := map[string]catalog.RunFilter{
		"all": {}, "sent": {Statuses: []domain.RunStatus{domain.Sent}}, "failed": {Statuses: []domain.RunStatus{domain.Failed}},
		"kind": {Kind: domain.Manual}, "worker": {Worker: "none"}, "error": {Error: "nothing"}, "queue": {Queue: "q1"},
		"no queue": {Queue: "none"}, "tag": {Tags: []string{"tag1"}}, "task": {Task: "app.t1"}, "due": {DueTo: &dayAgo},
		"finished": {FinishedTo: &dayAgo}, "schedule": {Schedule: &w.schedules[3]},
	}
	for name, filter := range filters {
		blocks, _ := effort.Of(func() {
			if _, err := c.Runs(scoped, filter, catalog.Page{Size: 50}); err != nil {
				t.Error(err)
			}
		})
		t.Logf("%s: %d blocks", name, blocks)
		if blocks > 6_000 {
			t.Errorf("%s: %d blocks for a page", name, blocks)
		}
		if filter.DueTo != nil || filter.FinishedTo != nil {
			continue
		}
		filter.DueFrom, filter.DueTo = &dayAgo, &now
		blocks, _ = effort.Of(func() {
			if _, err := c.RunSummary(scoped, filter); err != nil {
				t.Error(err)
			}
		})
		t.Logf("%s: %d blocks for a summary", name, blocks)
		if blocks > 8_000 {
			t.Errorf("%s: %d blocks for a summary", name, blocks)
		}
	}
}

// TestHistoryOfOneThatStopped reads the newest runs of a schedule that had half of all runs, and has had none since
// others began to run. The query does not read the runs of the others.
func TestHistoryOfOneThatStopped(t *testing.T) {
	t.Parallel()
	pool, effort := testenv.CountEffort(t, testenv.Connect(t, testenv.DirectURL(t)))
	w := makeRuns(t, pool, 70, 0)
	stopped := w.schedules[8]
	if _, err := pool.Exec(t.Context(), `
		insert into tactus.runs (id, schedule_id, due_at, slot, kind, status, schedule_version, fired_at, sent_at)
		select gen_random_uuid(), $1::uuid, due, gen_random_uuid(), 'scheduled', 'sent', 1, due, due
		from generate_series(1, 70000) k, lateral (select now() - interval '15 days' - k * interval '10 seconds') at (due)
		union all
		select gen_random_uuid(), ('00000000-0000-4000-8000-' || lpad((k % 2500)::text, 12, '0'))::uuid, due, gen_random_uuid(), 'scheduled', 'sent', 1, due, due
		from generate_series(1, 80000) k, lateral (select now() - k * interval '2 seconds') at (due)`, stopped); err != nil {
		t.Fatal(err)
	}
	if _, err := pool.Exec(t.Context(), "vacuum analyze tactus.runs"); err != nil {
		t.Fatal(err)
	}
	c := catalog.New(pool)
	looks := map[string]func() error{
		"the schedule": func() error { _, err := c.Get(t.Context(), stopped); return err },
		"its newest":   func() error { _, err := c.Newest(t.Context(), stopped, 30); return err },
		"a list":       func() error { _, _, err := c.List(t.Context(), catalog.Filter{}); return err },
	}
	for _, limit := range []int{1, 5, 100} {
		looks[fmt.Sprint("history of ", limit)] = func() error {
			_, _, err := c.History(t.Context(), stopped, nil, limit, 0)
			return err
		}
	}
	for name, look := range looks {
		blocks, _ := effort.Of(func() {
			if err := look(); err != nil {
				t.Error(name, err)
			}
		})
		if blocks > 1_500 { // of which counting to MaxRunCount takes most
			t.Errorf("%s: %d blocks", name, blocks)
		}
	}
}
