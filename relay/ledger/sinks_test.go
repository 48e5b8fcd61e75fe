package ledger_test

import (
	"errors"
	"testing"
	"time"

	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/outbox"
	"github.com/tactus-dev/tactus/relay/ledger"
)

// TestForget has two sinks, one of which was not served for a day, so that the log was kept for it.
func TestForget(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	for _, sql := range []string{
		`insert into tactus.relay_sinks (sink, topic, epoch, timeline, system_identifier, registered_at, confirmed_batch)
			select sink, 'run', 'e', 't', 's', now() - interval '2 days', 9 from unnest(array['here', 'gone']) sink`,
		`insert into tactus.relay_batches (sink, number, epoch, previous, snapshot, row_count, committed_at) values
			('here', 1, 'e', '1:1:', '5:5:', 0, now() - interval '1 day'), ('here', 2, 'e', '5:5:', '6:6:', 0, now()), ('gone', 10, 'e', '1:1:', '5:5:', 0, now() - interval '1 day')`,
		`insert into tactus.relay_forwards (sink, epoch, batch, place) values ('gone', 'e', 1, 0)`,
	} {
		if _, err := pool.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	had := func() int {
		t.Helper()
		all, err := ledger.HeldSnapshots(t.Context(), pool, outbox.Runs, time.Now().Add(-time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		return len(all)
	}
	if n := had(); n != 0 {
		t.Errorf("%d sinks have something: what is gone has nothing", n)
	}
	sinks, err := ledger.Sinks(t.Context(), pool)
	if err != nil || len(sinks) != 2 || sinks[0].Name != "gone" || sinks[0].Silent < 23*time.Hour || sinks[1].Silent > time.Hour || sinks[1].Topic != "run" {
		t.Errorf("%+v, %v", sinks, err)
	}
	for _, c := range []struct {
		sink  string
		quiet time.Duration
		want  error
	}{
		{"none", time.Hour, ledger.ErrNoSink},
		{"here", time.Hour, ledger.ErrServed},
		{"gone", 48 * time.Hour, ledger.ErrServed},
		{"gone", time.Hour, nil},
		{"gone", time.Hour, ledger.ErrNoSink},
	} {
		if err := ledger.Forget(t.Context(), pool, c.sink, c.quiet); !errors.Is(err, c.want) {
			t.Errorf("%s for %s: %v, want %v", c.sink, c.quiet, err, c.want)
		}
	}
	if n := had(); n != 1 {
		t.Errorf("%d sinks have something", n)
	}
	var left int
	if err := pool.QueryRow(t.Context(), `select (select count(*) from tactus.relay_batches where sink = 'gone') + (select count(*) from tactus.relay_forwards)`).Scan(&left); err != nil || left != 0 {
		t.Errorf("%d rows are left, %v", left, err)
	}
}
