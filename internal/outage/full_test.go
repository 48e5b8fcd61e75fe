package outage

import (
	"errors"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/tactus-dev/tactus/domain/handover"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/outbox"
)

func TestReadOnly(t *testing.T) {
	t.Parallel()
	_, url := testenv.Postgres(t, nil)
	w := newWorld(t, url)
	set := func(value string) {
		t.Helper()
		w.sql("alter system set default_transaction_read_only = " + value)
		w.sql("select pg_reload_conf()")
	}
	set("on")
	// One commit gets through, so that the relay has something to publish.
	w.store = outbox.NewStore(testenv.Connect(t, url+"&default_transaction_read_only=off"), "", handover.Limits{}.Check)
	w.put("meanwhile")
	w.says("read-only", "database_read_only")
	set("off")
	w.recovered()
}

const (
	fillRuns = `insert into tactus.runs (id, schedule_id, due_at, slot, kind, status, schedule_version, error)
		select gen_random_uuid(), '00000000-0000-0000-0000-00000000000f', now(), gen_random_uuid(), 'manual', 'missed', 1, $2 from generate_series(1, $1) n`
	fillBatches = `insert into tactus.relay_batches (sink, number, epoch, previous, snapshot, row_count)
		select 'x', (select coalesce(max(number), 0) from tactus.relay_batches where sink = 'x') + n, coalesce($2, ''), '1:1:', '1:1:', 0 from generate_series(1, $1) n`
)

// fill fills the tables until no row fits any more: first with large rows, then with small ones in the space that is
// left.
func (w *world) fill(insert string) {
	w.Helper()
	large := strings.Repeat("x", 1900)
	for _, c := range []struct {
		rows int
		text *string
	}{{500, &large}, {10, &large}, {500, nil}, {20, nil}, {1, nil}} {
		err := error(nil)
		for tries := 0; err == nil; tries++ {
			if _, err = w.pool.Exec(w.Context(), insert, c.rows, c.text); tries > 1000 {
				w.Fatal("the disk did not fill up")
			}
		}
		if e, ok := errors.AsType[*pgconn.PgError](err); !ok || e.Code != "53100" {
			w.Fatal(err)
		}
	}
}

func TestDiskFull(t *testing.T) {
	t.Parallel()
	server, url := testenv.Postgres(t, map[string]string{"autovacuum": "off"})
	if err := server.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	server.LimitFiles(20<<20 + 4096)
	if err := server.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, url)
	w.fill(fillRuns)
	w.fill(fillBatches)
	w.put("meanwhile")
	w.says("53100", "database_full")
	w.sql(`delete from tactus.runs where schedule_id = '00000000-0000-0000-0000-00000000000f'`)
	w.sql(`delete from tactus.relay_batches where sink = 'x'`)
	w.sql(`vacuum tactus.runs`)
	w.sql(`vacuum tactus.relay_batches`)
	w.recovered()
}
