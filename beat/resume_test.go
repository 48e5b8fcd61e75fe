package beat

import (
	"testing"
	"time"
)

// TestPausesThatEndTogetherAreEndedTogether ends 1,200 pauses at one instant. Three schedules cannot be enabled: a
// trigger refuses two rows, and one row is locked. All others are enabled by few transactions and fire at the very end
// of the pause, and schedules that were not paused fire before the last of them is enabled.
func TestPausesThatEndTogetherAreEndedTogether(t *testing.T) {
	t.Parallel()
	const paused = 1200
	w := newWorld(t)
	b := w.beat("beat-a")
	end := w.now.Add(time.Minute).Truncate(time.Minute)
	w.create(`{"name": "paused 1", "cron_expression": "* * * * *", "task_name": "t", "queue": "q", "enabled": false}`)
	w.execute(`
insert into tactus.schedules (id, name, version, enabled, trigger, anchor, policy, effective_from, trigger_set_at,
    created_at, updated_at, category, tags, definition, task, paused_at)
select gen_random_uuid(), 'paused ' || n, 1, enabled, trigger, anchor, policy, effective_from, trigger_set_at,
    created_at, updated_at, category, tags, definition, task, paused_at
from tactus.schedules, generate_series(2, $1::bigint) n`, paused)
	w.execute(`update tactus.schedules set paused_until = $1`, end)
	w.execute(`
create function own.refuse() returns trigger language plpgsql as $$ begin raise 'not this one'; end $$`)
	w.execute(`
create trigger refuse before update on tactus.schedules for each row when (new.name in ('paused 7', 'paused 1100'))
    execute function own.refuse()`)
	other := w.create(`{"name": "other", "cron_expression": "* * * * *", "task_name": "t", "queue": "q"}`)
	w.step(b, w.now.Add(time.Second))

	tx, err := w.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(t.Context())
	if _, err := tx.Exec(t.Context(), `select from tactus.schedules where name = 'paused 9' for update`); err != nil {
		t.Fatal(err)
	}
	w.setClock(end)
	const enabled = `select count(*) from tactus.outbox where type = 'schedule.enabled'`
	if _, err := b.step(t.Context(), end.UnixMicro()); err != nil {
		t.Fatal(err)
	}
	if n := w.count(enabled); len(w.runs(other.ID)) != 1 || n == 0 || n > 600 {
		t.Errorf("after a step %d are enabled, and the other schedule has the runs %v", n, w.runs(other.ID))
	}
	w.step(b, end.Add(2*syncEvery))
	w.step(b, end.Add(4*syncEvery))
	fired := `select count(*) from tactus.runs where due_at = $1 and status = 'due'`
	if n := w.count(fired, end); n != paused-3+1 {
		t.Errorf("%d fired at the end of the pause, want %d", n, paused-3+1)
	}
	if n := w.count(`select count(distinct xid) from tactus.outbox where type = 'schedule.enabled'`); n > 30 {
		t.Errorf("%d transactions enabled them", n)
	}

	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.execute(`drop trigger refuse on tactus.schedules`)
	w.step(b, end.Add(invalidateAgain+time.Second)) // late by less than a takeover
	w.step(b, end.Add(invalidateAgain+2*time.Second))
	if n := w.count(fired, end); n != paused+1 {
		t.Errorf("%d fired in the end, want %d", n, paused+1)
	}
}
