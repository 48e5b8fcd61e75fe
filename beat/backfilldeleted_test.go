package beat

import (
	"testing"
	"time"

	"github.com/tactus-dev/tactus/domain"
)

// TestBackfillEndsWithItsSchedule deletes the schedule of a backfill that waits for a run which nobody ends.
func TestBackfillEndsWithItsSchedule(t *testing.T) {
	t.Parallel()
	w, b, s, hour := backfillWorld(t)
	one := 1
	id := w.backfill(s, hour.Add(-5*time.Minute), hour.Add(-3*time.Minute), func(r *domain.BackfillRequest) { r.MaxActive = &one })
	w.let(b, 3*time.Second)
	if got := w.outcome(id); got != "open 1/3, 1 fired, 0 ran, 0 skipped" {
		t.Error(got)
	}
	if err := w.store.Delete(t.Context(), s.ID, 0); err != nil {
		t.Fatal(err)
	}
	w.let(b, 3*time.Second)
	if got := w.outcome(id); got != "cancelled 1/3, 1 fired, 0 ran, 0 skipped" {
		t.Error(got)
	}
}
