package catalog_test

import (
	"fmt"
	"testing"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/domain/handover"
	"github.com/tactus-dev/tactus/internal/catalog"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/outbox"
)

// TestRecord asks how the newest runs of a schedule went: of 150, only the last hundred count for the rate.
func TestRecord(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	c, store := catalog.New(pool), outbox.NewStore(pool, "UTC", handover.Limits{}.Check)
	make := func(name string) domain.ID {
		s, err := store.Create(t.Context(), domain.Definition{Name: name, TaskName: "t", CronExpression: "* * * * *"}, "", nil)
		if err != nil {
			t.Fatal(err)
		}
		return s.ID
	}
	run := func(schedule domain.ID, minute int, status domain.RunStatus, failure string) {
		if _, err := pool.Exec(t.Context(), `insert into tactus.runs (id, schedule_id, due_at, kind, status, schedule_version, error, waiting)
			values ($1, $2, '2026-01-01'::timestamptz + $3 * interval '1 minute', 'scheduled', $4, 1, nullif($5, ''), $5 = 'waits')`, outbox.NewID(), schedule, minute, status, failure); err != nil {
			t.Fatal(err)
		}
	}
	busy, idle := make("busy"), make("idle")
	for minute := range 150 {
		switch {
		case minute < 50:
			run(busy, minute, domain.Failed, "too old to count")
		case minute%4 == 0:
			run(busy, minute, domain.Failed, fmt.Sprint("failure ", minute))
		default:
			run(busy, minute, domain.Succeeded, "")
		}
	}
	run(busy, 150, domain.Unknown, "")
	run(busy, 151, domain.Sent, "")
	run(busy, 152, domain.Skipped, "")
	run(busy, 153, domain.MissedRun, "")
	run(busy, 154, domain.Due, "waits")
	got, err := c.Get(t.Context(), busy)
	if err != nil {
		t.Fatal(err)
	}
	if *got.TotalRunCount != 153 || *got.LastStatus != domain.Sent || *got.LastError != "failure 148" || *got.SuccessRate != 73./98 {
		t.Errorf("total %d, last %s, error %q, rate %f", *got.TotalRunCount, *got.LastStatus, *got.LastError, *got.SuccessRate)
	}
	none, err := c.Get(t.Context(), idle)
	if err != nil || *none.TotalRunCount != 0 || none.LastStatus != nil || none.LastError != nil || none.SuccessRate != nil || none.LastRunAt != nil {
		t.Errorf("without a run: %+v, %v", none.Record, err)
	}
	listed, _, err := c.List(t.Context(), catalog.Filter{Limit: 10, Name: "busy"})
	if err != nil || len(listed) != 1 || *listed[0].SuccessRate != *got.SuccessRate || listed[0].TotalRunCount != nil {
		t.Errorf("listed: %+v, %v", listed, err)
	}
}
