package verify_test

import (
	"strings"
	"testing"
	"time"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/verify"
)

// TestNeverDue has enabled schedules that will never be due: a one-shot whose effective_from is after its instant, and
// a schedule whose window had closed. Schedules that have fired, or will fire, are no problem.
func TestNeverDue(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	create := func(d domain.Definition) domain.ID {
		t.Helper()
		d.TaskName = "app.task"
		s, err := w.store.Create(t.Context(), d, "", nil)
		if err != nil {
			t.Fatal(err)
		}
		return s.ID
	}
	soon := time.Now().Add(time.Hour).Format(time.RFC3339)
	once, window := domain.Definition{RunAt: soon}, domain.Definition{CronExpression: "*/5 * * * *", EndsAt: soon}
	create(once)
	create(window)
	fired := create(once)
	bad := map[domain.ID]bool{create(once): true, create(window): true}
	w.sql(t, `insert into tactus.runs (id, schedule_id, due_at, kind, status, schedule_version)
		values (gen_random_uuid(), $1::uuid, now(), 'scheduled', 'missed', 1)`, fired.String())
	for id := range bad {
		w.sql(t, `update tactus.schedules set effective_from = now() + interval '1 hour' where id = $1::uuid`, id.String())
	}
	w.sql(t, `update tactus.schedules set effective_from = now() + interval '1 hour' where id = $1::uuid`, fired.String())
	expired := create(window) // but an adopted table had it so already
	w.sql(t, `update tactus.schedules set managed_by = 'public.t', effective_from = now() + interval '1 hour' where id = $1::uuid`, expired.String())
	w.publish(t)
	found := 0
	for _, p := range w.check(t, verify.Config{}).Problems {
		if p.Kind != verify.NeverDue {
			continue
		}
		if found++; !bad[p.ScheduleID] {
			t.Errorf("%+v", p)
		}
	}
	if found != len(bad) {
		t.Errorf("%d of %d such schedules are found", found, len(bad))
	}
}

// TestVerifyWaitsForNoTableLock has somebody lock the whole table of the counts: the check gives up, and says why.
func TestVerifyWaitsForNoTableLock(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish(t)
	tx, err := w.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(t.Context()) }()
	if _, err := tx.Exec(t.Context(), `lock table tactus.schedule_counts in access exclusive mode`); err != nil {
		t.Fatal(err)
	}
	_, err = verify.Run(t.Context(), w.pool, w.redis, verify.Config{Stream: "tactus:events", Sink: "events"})
	if err == nil || !strings.Contains(err.Error(), "somebody has locked a table, see pg_locks") {
		t.Error(err)
	}
}
