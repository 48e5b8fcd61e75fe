package outbox_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/domain/handover"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/outbox"
)

// TestManyWritersOnFewSchedules has 40 writers change 5 schedules, alone and inside transactions that commit, roll
// back, and roll back to savepoints.
func TestManyWritersOnFewSchedules(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	ids := make([]domain.ID, 5)
	for i := range ids {
		s, _, err := outbox.NewStore(pool, "", handover.Limits{}.Check).Put(t.Context(), definition(fmt.Sprint("hot-", i)))
		if err != nil {
			t.Fatal(err)
		}
		ids[i] = s.ID
	}
	var wg sync.WaitGroup
	for n := range 40 {
		random := rand.New(rand.NewPCG(1, uint64(n)))
		wg.Go(func() {
			for range 15 {
				if err := change(t.Context(), pool, ids[random.IntN(len(ids))], random); err != nil && !errors.Is(err, domain.ErrVersionConflict) {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if events := checkLog(t, pool); events < 100 {
		t.Errorf("only %d events: the test shows little", events)
	}
}

// change makes one change of a random kind.
func change(ctx context.Context, pool *pgxpool.Pool, id domain.ID, random *rand.Rand) error {
	store := outbox.NewStore(pool, "", handover.Limits{}.Check)
	patch := fmt.Appendf(nil, `{"description":"%d"}`, random.Int())
	switch random.IntN(5) {
	case 0:
		_, err := store.Merge(ctx, id, 0, patch)
		return err
	case 1:
		_, err := store.Toggle(ctx, id, 0)
		return err
	case 2:
		err := pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
			if _, err := outbox.Enable(ctx, tx, id); err != nil {
				return err
			}
			return errCaller
		})
		if errors.Is(err, errCaller) {
			return nil
		}
		return err
	case 3:
		return outbox.InTx(ctx, pool, func(tx pgx.Tx) error {
			err := pgx.BeginFunc(ctx, tx, func(savepoint pgx.Tx) error {
				if _, err := outbox.Disable(ctx, savepoint, id); err != nil {
					return err
				}
				return errCaller
			})
			if !errors.Is(err, errCaller) {
				return err
			}
			_, err = outbox.Enable(ctx, tx, id)
			return err
		})
	default:
		return outbox.InTx(ctx, pool, func(tx pgx.Tx) error {
			if _, err := outbox.Disable(ctx, tx, id); err != nil {
				return err
			}
			_, err := outbox.Enable(ctx, tx, id)
			return err
		})
	}
}

// checkLog checks that each schedule's versions rise by one in the order of positions, and that the events alone make
// what the table says. It returns the number of events.
func checkLog(t *testing.T, pool *pgxpool.Pool) int {
	t.Helper()
	rebuilt := map[domain.ID]domain.Schedule{}
	rows := read(t, pool, outbox.Schedules, outbox.Nothing, current(t, pool))
	for _, row := range rows {
		after, err := domain.Apply(rebuilt[row.Aggregate], domain.Event{
			ScheduleID: row.Aggregate, Version: row.Version, Type: row.Type, Data: row.Data, At: row.At,
		})
		if err != nil {
			t.Fatalf("position %d: %v", row.Position, err)
		}
		rebuilt[row.Aggregate] = after
	}
	var living int
	if err := pool.QueryRow(t.Context(), `select count(*) from tactus.schedules where deleted_at is null`).Scan(&living); err != nil {
		t.Fatal(err)
	}
	for id, want := range rebuilt {
		if !want.DeletedAt.IsZero() {
			continue
		}
		living--
		got, err := outbox.Get(t.Context(), pool, id)
		if err != nil {
			t.Fatal(err)
		}
		if x, y := asJSON(t, got), asJSON(t, want); x != y {
			t.Errorf("the table says\n%s\nthe events say\n%s", x, y)
		}
	}
	if living != 0 {
		t.Errorf("%d more schedules in the table than in the events", living)
	}
	return len(rows)
}

func asJSON(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestKilledWriterLeavesBothOrNeither kills a process that writes, at moments that differ.
func TestKilledWriterLeavesBothOrNeither(t *testing.T) {
	t.Parallel()
	url := testenv.DatabaseURL(t)
	for round := range 5 {
		cmd := exec.Command(os.Args[0], "-test.run=^TestWriterProcess$")
		cmd.Env = append(os.Environ(), "TACTUS_TEST_WRITE_TO="+url)
		cmd.Stderr = t.Output()
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for range 10 + 7*round { // answered writes
			if !lines.Scan() {
				t.Fatalf("the writer ended by itself: %v", lines.Err())
			}
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait() // killed
	}
	pool := testenv.Connect(t, url)
	if events := checkLog(t, pool); events < 5*10 {
		t.Errorf("%d events: answered writes are missing", events)
	}
}

// TestWriterProcess is the writer of TestKilledWriterLeavesBothOrNeither, in a process of its own.
func TestWriterProcess(t *testing.T) {
	url := os.Getenv("TACTUS_TEST_WRITE_TO")
	if url == "" {
		return
	}
	store := outbox.NewStore(testenv.Connect(t, url), "", handover.Limits{}.Check)
	for n := 0; ; n++ {
		d := definition(fmt.Sprint("s", n%3))
		d.Description = fmt.Sprint(n, os.Getpid())
		s, _, err := store.Put(t.Context(), d)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Println(s.Version)
	}
}
