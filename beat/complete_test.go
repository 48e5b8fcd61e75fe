package beat

import (
	"testing"
	"time"
)

// TestRowsThatCannotEnd has schedules whose completion or deletion PostgreSQL refuses. All others are completed and
// deleted.
func TestRowsThatCannotEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	at := w.now.Add(time.Minute).UTC().Truncate(time.Second).Format(time.RFC3339)
	for _, name := range []string{"a", "b", "c", "spoiled", "d", "refused"} {
		w.create(`{"name": "` + name + `", "run_at": "` + at + `", "task_name": "t", "on_completed": "delete"}`)
	}
	w.execute(`create function refuse() returns trigger language plpgsql as $$ begin
		if new.name = 'refused' and (new.completed_at is not null or new.deleted_at is not null) then raise 'refused'; end if; return new; end $$`)
	w.execute(`create trigger refuse before update on tactus.schedules for each row execute function refuse()`)
	b := w.beat("a")
	b.cfg.CompletedRetention = time.Second
	w.step(b, w.now.Add(time.Second))
	w.step(b, w.now.Add(time.Minute))
	const completed = `select count(*) from tactus.schedules where completed_at is not null`
	w.step(b, w.now.Add(2*syncEvery))
	if n := w.count(completed); n != 5 {
		t.Errorf("%d are completed, want all but the one that is refused", n)
	}
	w.execute(`update tactus.schedules set version = 9223372036854775807 where name = 'spoiled'`)
	w.step(b, w.now.Add(2*sweepEvery))
	const deleted = `select count(*) from tactus.outbox where type = 'schedule.deleted'`
	if n := w.count(deleted); n != 4 {
		t.Errorf("%d are deleted, want all but the one whose version has no next one", n)
	}
	w.execute(`update tactus.schedules set version = 7 where name = 'spoiled'`)
	w.step(b, w.now.Add(2*time.Hour))
	if n := w.count(deleted); n != 5 {
		t.Errorf("%d are deleted after the row was mended, want 5", n)
	}
}
