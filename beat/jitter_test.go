package beat

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tactus-dev/tactus/domain"
)

// TestJitterEditKeepsTheDueTime edits the jitter between a due time and its firing. The due time fires once, by the new
// jitter.
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

// TestJitterEditAcrossARestart edits the jitter while due times are delayed by it, and no beat runs or the beat has not
// read the edit yet. Each due time fires once.
func TestJitterEditAcrossARestart(t *testing.T) {
	t.Parallel()
	for _, end := range []string{"stop", "crash"} {
		for _, patch := range []string{
			`{"jitter_seconds": 0}`, `{"jitter_seconds": 1}`, `{"jitter_seconds": 3500}`, `{"jitter_seconds": 0, "spread_seconds": 3500}`,
		} {
			t.Run(end+" "+patch, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t)
				b := w.beat("a")
				var all []domain.Schedule
				for range 20 {
					all = append(all, w.create(`{"interval_seconds": 3600, "interval_anchor": "2026-01-01T00:00:00Z", "jitter_seconds": 3000, "task_name": "app.task"}`))
				}
				due, _ := all[0].Next(all[0].CreatedAt)
				w.step(b, due.Add(20*time.Minute))
				before := w.count(`select count(*) from tactus.runs`)
				w.endBeat(b, end)
				for _, s := range all {
					w.merge(s.ID, patch)
				}
				b = w.beat("b")
				for _, later := range []time.Duration{21 * time.Minute, 59 * time.Minute} {
					w.step(b, due.Add(later))
				}
				if before == 0 || before == len(all) {
					t.Errorf("%d fired before the edit: that shows nothing", before)
				}
				for _, s := range all {
					if err := w.expect(s.ID, due.UTC().Format(time.RFC3339Nano)+" due"); err != nil {
						t.Error(err)
					}
				}
				if n := w.count(`select count(*) from tactus.outbox where topic = 'run'`); n != len(all) {
					t.Errorf("%d events", n)
				}
			})
		}
	}
}
