package outbox_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/domain/handover"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/outbox"
)

// insertLate appends a run event by hand, in a transaction that the test holds open.
const insertLate = `
insert into tactus.outbox (topic, aggregate_id, version, type, data, position)
values ('run', $1, 1, 'run.due', '{}', 1)`

// TestDropUnderLoad drops an old partition while writers write and one transaction holds a late row in it. The drop
// gives way every time; no writer ever waits for a lock as long as its own lock_timeout, and the late row is not lost.
func TestDropUnderLoad(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	store := outbox.NewStore(pool, "", handover.Limits{}.Check)
	s, err := store.Create(t.Context(), definition("busy"), "", nil)
	if err != nil {
		t.Fatal(err)
	}
	maintain(t, pool, time.Now())
	trigger(t, store, s.ID)
	execute(t, pool, `select setval('tactus.outbox_position', 5000000)`)

	late, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = late.Rollback(context.WithoutCancel(t.Context())) }() // after a commit it has nothing to do
	if _, err := late.Exec(t.Context(), insertLate, outbox.NewID()); err != nil {
		t.Fatal(err)
	}
	seen := current(t, pool)
	load := write(t, pool, s.ID)
	for round := range 3 {
		load.more(t, 50)
		if did := dropped(t, pool, seen); !slices.Equal(did.Deferred, []string{"outbox_run_0"}) {
			t.Fatalf("round %d: %+v", round, did)
		}
	}
	load.more(t, 50)
	if err := late.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if did := dropped(t, pool, seen); len(did.Dropped)+len(did.Deferred) != 0 {
		t.Fatalf("a late row that the snapshot has not seen: %+v", did)
	}
	if n := texts(t, pool, `select count(*)::text from tactus.outbox where topic = 'run' and position = 1`)[0]; n != "1" {
		t.Fatal("the late row is gone")
	}
	seen = current(t, pool)
	testenv.Eventually(t, "the drop gets its turn", func() error {
		if did := dropped(t, pool, seen); !slices.Equal(did.Dropped, []string{"outbox_run_0"}) {
			return fmt.Errorf("%+v", did)
		}
		return nil
	})
	load.more(t, 50)
	load.stop()
	if got := int64(len(read(t, pool, outbox.Runs, outbox.Nothing, current(t, pool)))); got != load.written.Load() {
		t.Errorf("%d events are left of %d in the newer partition", got, load.written.Load())
	}
}

// load are writers that never pause. Each would fail if it waited for a lock for a minute.
type load struct {
	written atomic.Int64
	stop    func()
}

const patientWriter = `
insert into tactus.outbox (topic, aggregate_id, version, type, data) values ('run', $1, 1, 'run.due', '{}')`

func write(t *testing.T, pool *pgxpool.Pool, id domain.ID) *load {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	l := &load{}
	var wg sync.WaitGroup
	l.stop = func() { cancel(); wg.Wait() }
	t.Cleanup(l.stop)
	for range 4 {
		wg.Go(func() {
			for ctx.Err() == nil {
				err := pgx.BeginFunc(context.WithoutCancel(ctx), pool, func(tx pgx.Tx) error {
					if _, err := tx.Exec(context.WithoutCancel(ctx), `select set_config('lock_timeout', '1min', true)`); err != nil {
						return err
					}
					_, err := tx.Exec(context.WithoutCancel(ctx), patientWriter, id)
					return err
				})
				if err != nil {
					t.Errorf("a writer under load: %v", err)
					return
				}
				l.written.Add(1)
			}
		})
	}
	return l
}

// more waits until the writers have written so many more.
func (l *load) more(t *testing.T, n int64) {
	t.Helper()
	want := l.written.Load() + n
	testenv.Eventually(t, "the writers go on", func() error {
		if got := l.written.Load(); got < want {
			return fmt.Errorf("%d written of %d", got, want)
		}
		return nil
	})
}

// TestMakeUnderLoad attaches partitions while every parent has an open transaction with a row in it: making does not
// wait for it, so nobody waits behind.
func TestMakeUnderLoad(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	store := outbox.NewStore(pool, "", handover.Limits{}.Check)
	s, err := store.Create(t.Context(), definition("open"), "", nil)
	if err != nil {
		t.Fatal(err)
	}
	open, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := open.Rollback(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	}()
	if _, err := open.Exec(t.Context(), insertLate, outbox.NewID()); err != nil {
		t.Fatal(err)
	}
	if _, err := outbox.Disable(t.Context(), open, s.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := open.Exec(t.Context(), `select count(*) from tactus.runs where due_at > now()`); err != nil {
		t.Fatal(err)
	}
	var made []string
	testenv.Eventually(t, "only a new month waits, for whoever reads the default partition", func() error {
		did := maintainOnce(t, pool, time.Now().AddDate(0, 1, 0))
		if made = append(made, did.Made...); len(did.Deferred) != 1 || len(made) != 6 || !strings.HasPrefix(did.Deferred[0], "runs_") {
			return fmt.Errorf("made %v, deferred %v", made, did.Deferred)
		}
		return nil
	})
}
