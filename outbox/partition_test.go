package outbox_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/domain/handover"
	"github.com/tactus-dev/tactus/internal/detached"
	"github.com/tactus-dev/tactus/internal/sqlexpr"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/outbox"
)

var keep = outbox.Retention{Runs: 90 * 24 * time.Hour, Keys: 24 * time.Hour}

// maintain maintains until nothing is put off: one try waits for a lock a tenth of a second only.
func maintain(t *testing.T, pool *pgxpool.Pool, now time.Time) (all outbox.Upkeep) {
	t.Helper()
	testenv.Eventually(t, "nothing is put off", func() error {
		did := maintainOnce(t, pool, now)
		all.Made, all.Dropped, all.Ready = append(all.Made, did.Made...), append(all.Dropped, did.Dropped...), did.Ready
		if len(did.Deferred) > 0 {
			return fmt.Errorf("%v are", did.Deferred)
		}
		return nil
	})
	return all
}

func maintainOnce(t *testing.T, pool *pgxpool.Pool, now time.Time) outbox.Upkeep {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testenv.Patience)
	defer cancel()
	did, err := outbox.Maintain(ctx, pool, now, keep)
	if err != nil {
		t.Fatal(err)
	}
	return did
}

func execute(t *testing.T, pool *pgxpool.Pool, sql string, args ...any) {
	t.Helper()
	if _, err := pool.Exec(t.Context(), sql, args...); err != nil {
		t.Fatal(err)
	}
}

// texts are the values of a query's only column.
func texts(t *testing.T, pool *pgxpool.Pool, sql string, args ...any) []string {
	t.Helper()
	rows, err := pool.Query(t.Context(), sql, args...)
	if err != nil {
		t.Fatal(err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// due inserts a run that is due at a time, and tells into which partition it went.
func due(t *testing.T, pool *pgxpool.Pool, at string) string {
	t.Helper()
	return texts(t, pool, `
insert into tactus.runs (id, schedule_id, due_at, kind, status, schedule_version) values ($1, $2, $3::text::timestamptz, 'scheduled', 'due', 1)
returning tableoid::regclass::text`, outbox.NewID(), outbox.NewID(), at)[0]
}

func TestMonthsOfRuns(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	midYear := time.Date(2041, 7, 10, 0, 0, 0, 0, time.UTC)
	if did := maintain(t, pool, midYear); !slices.Contains(did.Made, "runs_2041_08") || !slices.Contains(did.Made, "runs_2041_09") {
		t.Errorf("made %v", did.Made)
	}
	if did := maintain(t, pool, midYear); len(did.Made)+len(did.Dropped) != 0 {
		t.Errorf("maintained again at once: %+v", did)
	}
	for at, want := range map[string]string{
		"2041-07-31T23:59:59.999999Z": "tactus.runs_2041_07", "2041-08-01T00:00:00Z": "tactus.runs_2041_08",
		"2041-08-01T00:59:59+01:00": "tactus.runs_2041_07", "2041-10-01T00:00:00Z": "tactus.runs_default",
		"1999-01-01T00:00:00Z": "tactus.runs_default",
	} {
		if got := due(t, pool, at); got != want {
			t.Errorf("due at %s: in %s, want %s", at, got, want)
		}
	}
	lastSecond := time.Date(2041, 8, 31, 23, 59, 59, 0, time.UTC)
	if did := maintain(t, pool, lastSecond); !slices.Contains(did.Made, "runs_2041_10") || slices.Contains(did.Made, "runs_2041_11") {
		t.Errorf("made %v", did.Made)
	}
	if did := maintain(t, pool, lastSecond.Add(time.Second)); !slices.Equal(did.Made, []string{"runs_2041_11"}) {
		t.Errorf("made %v", did.Made)
	}
	did := maintain(t, pool, time.Date(2041, 10, 29, 23, 59, 59, 0, time.UTC)) // 90 days after July ended, less a second
	if slices.Contains(did.Dropped, "runs_2041_07") {
		t.Errorf("dropped %v", did.Dropped)
	}
	did = maintain(t, pool, time.Date(2041, 10, 30, 0, 0, 0, 0, time.UTC))
	if !slices.Equal(did.Dropped, []string{"runs_2041_07"}) {
		t.Errorf("dropped %v", did.Dropped)
	}
}

// TestDefaultPartitionKeepsItsRuns maintains after nobody did for long: runs of this month and of the next are in the
// default partition. They stay there, found as before, and new partitions begin behind them.
func TestDefaultPartitionKeepsItsRuns(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	for _, at := range []string{"2041-07-03T00:00:00Z", "2041-07-10T11:59:00Z", "2041-08-05T00:00:00Z"} {
		if got := due(t, pool, at); got != "tactus.runs_default" {
			t.Fatalf("in %s", got)
		}
	}
	did := maintain(t, pool, time.Date(2041, 7, 10, 12, 30, 0, 0, time.UTC))
	for _, name := range []string{"runs_2041_07", "runs_2041_08", "runs_2041_09"} {
		if !slices.Contains(did.Made, name) {
			t.Errorf("made %v, and not %s", did.Made, name)
		}
	}
	for at, want := range map[string]string{
		"2041-07-10T12:30:00Z": "tactus.runs_default", "2041-07-10T14:00:00Z": "tactus.runs_2041_07",
		"2041-08-05T00:00:00Z": "tactus.runs_default", "2041-08-05T00:00:00.000001Z": "tactus.runs_2041_08",
	} {
		if got := due(t, pool, at); got != want {
			t.Errorf("due at %s: in %s, want %s", at, got, want)
		}
	}
	if n := texts(t, pool, `select count(*)::text from tactus.runs`)[0]; n != "7" {
		t.Errorf("%s runs are found", n)
	}
	maintain(t, pool, time.Date(2041, 12, 1, 0, 0, 0, 0, time.UTC)) // more than 90 days after all of them
	if n := texts(t, pool, `select count(*)::text from tactus.runs_default`)[0]; n != "0" {
		t.Errorf("%s old runs are left in the default partition", n)
	}
}

// TestEndOfAMonthWithoutPartition leaves the last hours of a month to the default partition.
func TestEndOfAMonthWithoutPartition(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	maintain(t, pool, time.Date(2041, 7, 31, 23, 30, 0, 0, time.UTC))
	if got := due(t, pool, "2041-07-31T23:40:00Z"); got != "tactus.runs_default" {
		t.Errorf("in %s", got)
	}
	if got := due(t, pool, "2041-08-01T00:00:00Z"); got != "tactus.runs_2041_08" {
		t.Errorf("in %s", got)
	}
}

// TestPositionsCrossPartitions has writers go over the ends of several partitions, while others maintain.
func TestPositionsCrossPartitions(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	store := outbox.NewStore(pool, "", handover.Limits{}.Check)
	s, err := store.Create(t.Context(), definition("crossing"), "", nil)
	if err != nil {
		t.Fatal(err)
	}
	maintain(t, pool, time.Now())
	for crossing := range 4 {
		execute(t, pool, `select setval('tactus.outbox_position', $1)`, (crossing+1)*5_000_000-20)
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for range 10 {
					if _, err := store.Trigger(t.Context(), s.ID); err != nil {
						t.Error(err)
					}
				}
			})
			wg.Go(func() {
				if _, err := outbox.Maintain(t.Context(), pool, time.Now(), keep); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		maintain(t, pool, time.Now()) // those that ran at once may all have given way
	}
	counts := texts(t, pool, `select tableoid::regclass || ' ' || count(*) from tactus.outbox where topic = 'run' group by tableoid order by tableoid`)
	if len(counts) != 5 {
		t.Errorf("events are in %v", counts)
	}
	if n := len(read(t, pool, outbox.Runs, outbox.Nothing, current(t, pool))); n != 160 {
		t.Errorf("%d events, want 160", n)
	}
	execute(t, pool, `select setval('tactus.outbox_position', 999999990)`)
	maintain(t, pool, time.Now())
	for n := range 30 {
		if _, _, err := store.Put(t.Context(), definition(fmt.Sprint("over the end ", n))); err != nil {
			t.Fatal(err)
		}
	}
}

// TestDropOfRunEvents drops what all have seen, and nothing else.
func TestDropOfRunEvents(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	store := outbox.NewStore(pool, "", handover.Limits{}.Check)
	s, err := store.Create(t.Context(), definition("old"), "", nil)
	if err != nil {
		t.Fatal(err)
	}
	maintain(t, pool, time.Now())
	trigger(t, store, s.ID)
	behind := current(t, pool)
	trigger(t, store, s.ID)
	ahead := current(t, pool)
	if did := dropped(t, pool, ahead); len(did.Dropped) != 0 {
		t.Errorf("a partition that is written to: %+v", did)
	}
	execute(t, pool, `select setval('tactus.outbox_position', 5000000)`)
	trigger(t, store, s.ID)
	for _, seen := range [][]outbox.Snapshot{nil, {behind}, {ahead, behind}} {
		if did := dropped(t, pool, seen...); len(did.Dropped)+len(did.Deferred) != 0 {
			t.Errorf("%v have seen: %+v", seen, did)
		}
	}
	if did, err := outbox.DropRunPartition(t.Context(), pool, "outbox_run_0", ahead, behind); err != nil || len(did.Deferred) != 1 {
		t.Errorf("a row that came before the lock: %+v, %v", did, err)
	}
	testenv.Eventually(t, "what all have seen is dropped", func() error {
		if did := dropped(t, pool, ahead, ahead); !slices.Equal(did.Dropped, []string{"outbox_run_0"}) {
			return fmt.Errorf("%+v", did)
		}
		return nil
	})
	if n := len(read(t, pool, outbox.Runs, outbox.Nothing, current(t, pool))); n != 1 {
		t.Errorf("%d run events are left, want the newest", n)
	}
	if n := len(read(t, pool, outbox.Schedules, outbox.Nothing, current(t, pool))); n != 1 {
		t.Errorf("%d schedule events are left, want all", n)
	}
}

func trigger(t *testing.T, store *outbox.Store, id domain.ID) {
	t.Helper()
	if _, err := store.Trigger(t.Context(), id); err != nil {
		t.Fatal(err)
	}
}

func dropped(t *testing.T, pool *pgxpool.Pool, seen ...outbox.Snapshot) outbox.Upkeep {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testenv.Patience)
	defer cancel()
	did, err := outbox.DropRunEvents(ctx, pool, seen...)
	if err != nil {
		t.Fatal(err)
	}
	return did
}

// TestGapsAreFilled has a partition be missing between others, because it could not be made when the one behind it
// could.
func TestGapsAreFilled(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	maintain(t, pool, time.Now())
	if _, err := pool.Exec(t.Context(), `drop table tactus.outbox_run_5000000`); err != nil {
		t.Fatal(err)
	}
	if did := maintain(t, pool, time.Now()); !slices.Equal(did.Made, []string{"outbox_run_5000000"}) || did.Ready["outbox_run"] != 2 {
		t.Errorf("made %v, ready %v", did.Made, did.Ready)
	}
	if did := maintain(t, pool, time.Now()); len(did.Made) > 0 {
		t.Errorf("not done: %v", did.Made)
	}
}

// TestManyMaintain has many processes maintain at once.
func TestManyMaintain(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	var made atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			did, err := outbox.Maintain(t.Context(), pool, time.Now(), keep)
			if err != nil {
				t.Error(err)
			}
			made.Add(int64(len(did.Made)))
		})
	}
	wg.Wait()
	if did := maintain(t, pool, time.Now()); made.Load()+int64(len(did.Made)) < 4 {
		t.Errorf("%d made, then %+v", made.Load(), did)
	}
	if did := maintain(t, pool, time.Now()); len(did.Made) != 0 {
		t.Errorf("not done: %+v", did)
	}
}

func TestOldKeysAreForgotten(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	store := outbox.NewStore(pool, "", handover.Limits{}.Check)
	if _, err := store.Create(t.Context(), definition("a"), "key", []byte("a")); err != nil {
		t.Fatal(err)
	}
	maintain(t, pool, time.Now())
	if _, err := store.Create(t.Context(), definition("b"), "key", []byte("b")); !errors.Is(err, &domain.Error{Code: "idempotency_key_reused"}) {
		t.Errorf("the same day: %v", err)
	}
	maintain(t, pool, time.Now().Add(25*time.Hour))
	if _, err := store.Create(t.Context(), definition("b"), "key", []byte("b")); err != nil {
		t.Errorf("a day later: %v", err)
	}
}

// TestMakeWhileBellsRing has transactions hold the locks of both bells, as those of triggered runs and changed
// schedules do.
func TestMakeWhileBellsRing(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	tx, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(context.WithoutCancel(t.Context()))
	if _, err := tx.Exec(t.Context(), `select `+sqlexpr.RingRuns+`, `+sqlexpr.RingSchedules); err != nil {
		t.Fatal(err)
	}
	did := maintain(t, pool, time.Now())
	if len(did.Made) == 0 {
		t.Error("made none")
	}
	for table, n := range did.Ready {
		if n != 2 {
			t.Errorf("%s: %d partitions stand ready", table, n)
		}
	}
}

// TestDependentsOfOthersKeepNoRows has views of somebody else on two partitions. Their tables stay without rows, are
// named with what keeps them, and are dropped once nothing does.
func TestDependentsOfOthersKeepNoRows(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	now := time.Date(2031, 1, 15, 0, 0, 0, 0, time.UTC)
	maintain(t, pool, now)
	due(t, pool, "2031-01-20T00:00:00Z")
	execute(t, pool, `create schema theirs`)
	execute(t, pool, `create view theirs.pin as select 1 as a from tactus.runs_2031_01`)
	execute(t, pool, `create view theirs.events as select 1 as a from tactus.outbox_run_0`)
	later := now.AddDate(2, 0, 0)
	did := maintain(t, pool, later)
	if !slices.Contains(did.Dropped, "runs_2031_02") || slices.Contains(did.Dropped, "runs_2031_01") {
		t.Errorf("dropped %v", did.Dropped)
	}
	want := []detached.Table{{Name: "detached_runs_2031_01", Dependents: []string{"rule _RETURN on view theirs.pin"}}}
	if diff := cmp.Diff(want, maintainOnce(t, pool, later).Detached); diff != "" {
		t.Errorf("detached (-want +got):\n%s", diff)
	}
	if n := texts(t, pool, `select count(*) || ' in ' || pg_relation_size('tactus.detached_runs_2031_01') from tactus.detached_runs_2031_01`)[0]; n != "0 in 0" {
		t.Errorf("rows and bytes: %s", n)
	}
	if n := texts(t, pool, `select count(*)::text from theirs.pin`)[0]; n != "0" {
		t.Errorf("%s rows in the view", n)
	}
	if did := maintain(t, pool, now); !slices.Contains(did.Made, "runs_2031_01") { // its name is free
		t.Errorf("made %v", did.Made)
	}

	execute(t, pool, `select setval('tactus.outbox_position', 5000000)`)
	testenv.Eventually(t, "the partition of events is detached", func() error {
		did := dropped(t, pool, current(t, pool))
		if len(did.Detached) != 2 || did.Detached[0].Name != "detached_outbox_run_0" || len(did.Dropped) > 0 {
			return fmt.Errorf("%+v", did)
		}
		return nil
	})

	execute(t, pool, `drop schema theirs cascade`)
	testenv.Eventually(t, "the tables are dropped", func() error {
		if did := maintainOnce(t, pool, later); len(did.Detached) > 0 {
			return fmt.Errorf("%v", did.Detached)
		}
		return nil
	})
}
