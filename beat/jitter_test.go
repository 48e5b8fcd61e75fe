package beat

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestJitterEditKeepsTheDueTime edits jitter between a due time and its firing: it fires when the new jitter says so, once.
func TestJitterEditKeepsTheDueTime(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.beat("a")
	s := w.create(`{"interval_seconds": 3600, "interval_anchor": "2026-01-01T00:00:00Z", "jitter_seconds": 3000, "task_name": "app.task"}`)
	due, _ := s.Next(s.CreatedAt)
	w.step(b, due)
	if _, err := w.store.Merge(t.Context(), s.ID, 0, []byte(`{"jitter_seconds": 0}`)); err != nil {
		t.Fatal(err)
	}
	for _, later := range []time.Duration{2 * time.Second, 50 * time.Minute} {
		w.step(b, due.Add(later))
		if diff := cmp.Diff([]string{due.UTC().Format(time.RFC3339Nano) + " due"}, w.runs(s.ID)); diff != "" {
			t.Errorf("%s later (-want +got):\n%s", later, diff)
		}
	}
}
