package beat

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestFiresWhatIsDue follows a schedule from its creation, found by the poll alone, to its first runs.
func TestFiresWhatIsDue(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.beat("a")
	s := w.create(`{"interval_seconds": 10, "interval_anchor": "2026-01-01T00:00:00Z", "task_name": "app.task"}`)
	now := s.CreatedAt.Add(2 * time.Second)
	w.step(b, now)
	if got := w.runs(s.ID); len(got) != 0 {
		t.Errorf("fired early: %v", got)
	}
	var want []string
	for n := range 3 {
		due, ok := s.Next(s.CreatedAt.Add(time.Duration(n) * 10 * time.Second))
		if !ok {
			t.Fatal("not due")
		}
		w.step(b, due.Add(-time.Microsecond))
		if diff := cmp.Diff(want, w.runs(s.ID)); diff != "" {
			t.Fatalf("just before %s (-want +got):\n%s", due, diff)
		}
		w.step(b, due)
		want = append(want, due.UTC().Format(time.RFC3339Nano)+" due")
		if diff := cmp.Diff(want, w.runs(s.ID)); diff != "" {
			t.Fatalf("at %s (-want +got):\n%s", due, diff)
		}
	}
	if events := w.count(`select count(*) from tactus.outbox where topic = 'run' and type = 'run.due' and data->>'schedule_id' = $1`, s.ID.String()); events != 3 {
		t.Errorf("%d events for 3 runs", events)
	}
}

func TestHundredAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.beat("a")
	for n := range 100 {
		w.create(fmt.Sprintf(`{"name": "s%d", "interval_seconds": 30, "task_name": "app.task"}`, n))
	}
	w.step(b, w.now.Add(2*time.Second))
	if got := b.Stats().Schedules; got != 100 {
		t.Errorf("%d of 100 schedules in memory", got)
	}
	w.step(b, w.now.Add(40*time.Second))
	if n := w.count(`select count(distinct schedule_id) from tactus.runs where status = 'due'`); n != 100 {
		t.Errorf("%d of 100 fired", n)
	}
}
