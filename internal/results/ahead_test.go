package results

import (
	"testing"
	"time"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/domain/handover"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/outbox"
)

// TestClockAheadEndsNoRun sets PostgreSQL's clock ten days ahead, as a faulty clock may be for a minute. No run becomes
// unknown because of it, and none is handed over beside an unfinished one.
func TestClockAheadEndsNoRun(t *testing.T) {
	t.Parallel()
	direct := testenv.DirectURL(t)
	s := site{pool: testenv.Connect(t, direct)}
	s.store = outbox.NewStore(s.pool, "UTC", handover.Limits{}.Check)
	_, running, waiting := s.queue(t)
	silent := s.run(t, s.schedule(t, domain.Definition{}), domain.Sent, 26*time.Hour)
	for _, sql := range []string{
		`create schema own`,
		`create function own.clock_timestamp() returns timestamptz language sql as
			'select pg_catalog.clock_timestamp() + interval ''10 days'''`,
		`create function own.now() returns timestamptz language sql as 'select own.clock_timestamp()'`,
		`do $$ begin execute format('alter database %I set search_path = own, pg_catalog', current_database()); end $$`,
	} {
		s.exec(t, sql)
	}
	s.pool = testenv.Connect(t, direct)
	c := s.collector(t, nil, nil, Config{})
	if err := c.Sweep(t.Context(), ever); err != nil {
		t.Fatal(err)
	}
	release(t, c, 0)
	for run, want := range map[domain.ID]domain.RunStatus{running: domain.Sent, waiting: domain.Due, silent: domain.Unknown} {
		var got domain.RunStatus
		if err := s.pool.QueryRow(t.Context(), `select status from tactus.runs where id = $1`, run).Scan(&got); err != nil || got != want {
			t.Errorf("%s, want %s: %v", got, want, err)
		}
	}
}
