package outbox_test

import (
	"testing"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/testenv"
)

// TestCompletedOutlivesEdits edits a completed schedule by SQL: it stays completed until its trigger or max_runs
// change.
func TestCompletedOutlivesEdits(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	put := func(members string) domain.Schedule {
		t.Helper()
		return checkHistory(t, pool, putSQL(t, pool, `{"name": "n", "task_name": "a", "interval_seconds": 60, "on_completed": "delete", "misfire_policy": "none", "misfire_grace_seconds": 0, `+members+`}`))
	}
	complete := func(s domain.Schedule) {
		t.Helper()
		if _, err := pool.Exec(t.Context(), `with changed as (
			update tactus.schedules set version = version + 1, enabled = false, completed_at = now(), updated_at = now() where id = $1 returning *)
			insert into tactus.outbox (topic, aggregate_id, version, type, data, occurred_at)
			select 'schedule', id, version, 'schedule.completed', tactus.schedule_data(changed), updated_at from changed`, s.ID); err != nil {
			t.Fatal(err)
		}
		if s := checkHistory(t, pool, s.ID); s.State() != domain.Completed {
			t.Errorf("completed, and %s", s.State())
		}
	}
	complete(put(`"max_runs": 1`))
	if s := put(`"max_runs": 1`); s.Version != 2 {
		t.Errorf("the same once more: version %d", s.Version)
	}
	if s := put(`"max_runs": 1, "description": "d"`); s.State() != domain.Completed || s.Version != 3 {
		t.Errorf("described: %s, version %d", s.State(), s.Version)
	}
	if s := put(`"max_runs": 2`); s.State() != domain.Active || s.EffectiveFrom != s.UpdatedAt {
		t.Errorf("more runs: %s, from %s", s.State(), s.EffectiveFrom)
	}
	complete(put(`"max_runs": 2`))
	if s := put(`"max_runs": 2, "starts_at": "2026-01-01T00:00:00Z"`); s.State() != domain.Active {
		t.Errorf("other due times: %s", s.State())
	}
}
