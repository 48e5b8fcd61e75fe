package beat

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/tactus-dev/tactus/internal/testenv"
)

// TestClockAheadEndsNothing sets PostgreSQL's clock ten days ahead while a run is unfinished, a schedule is to be
// deleted in a week, and another one is due once and must not be late. The wrong clock ends none of them.
func TestClockAheadEndsNothing(t *testing.T) {
	t.Parallel()
	w := newRunningWorld(t)
	b := w.running("a")
	queued := w.create(`{"interval_seconds": 1, "execution_policy": "queue", "task_name": "app.task"}`)
	gone := w.create(fmt.Sprintf(`{"task_name": "app.task", "on_completed": "delete", "run_at": %q}`, time.Now().Add(time.Second).Format(time.RFC3339Nano)))
	once := w.create(fmt.Sprintf(`{"task_name": "app.task", "misfire_policy": "none", "misfire_grace_seconds": 1, "run_at": %q}`,
		time.Now().Add(24*time.Hour).Format(time.RFC3339Nano)))
	testenv.Eventually(t, "one runs and one waits, and the other has completed", func() error {
		if n := w.count(`select count(*) from tactus.runs where schedule_id = $1 and status = 'due'`, queued.ID); n < 2 {
			return fmt.Errorf("%d runs", n)
		}
		if w.count(`select count(*) from tactus.schedules where id = $1 and completed_at is not null`, gone.ID) == 0 {
			return errors.New("it has not completed")
		}
		return nil
	})
	w.shift("10 days")
	testenv.Eventually(t, "the step is noticed, and what is due once was missed by it", func() error {
		if b.Stats().Steps == 0 || len(w.runs(once.ID)) == 0 {
			return errors.New("not yet")
		}
		return nil
	})
	w.fires("ahead") // steps of the beat
	for what, n := range map[string]int{
		"runs are handed over beside an unfinished one": w.count(`select count(*) - 1 from tactus.runs where schedule_id = $1 and status = 'due' and not waiting`, queued.ID),
		"completed schedules are deleted":               w.count(`select count(*) from tactus.schedules where id = $1 and deleted_at is not null`, gone.ID),
		"schedules are completed that have not fired":   w.count(`select count(*) from tactus.schedules where id = $1 and completed_at is not null`, once.ID),
	} {
		if n != 0 {
			t.Errorf("%d %s", n, what)
		}
	}
	w.shift("0")
	testenv.Eventually(t, "what was missed is to come again", func() error {
		if runs := w.runs(once.ID); len(runs) > 0 {
			return fmt.Errorf("%v", runs)
		}
		return nil
	})
}
