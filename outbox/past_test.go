package outbox_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/domain/handover"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/outbox"
)

// anotherClock shifts the clock of the database against this machine's.
const anotherClock = `
create schema own;
create table own.clock as select interval '0' as shift;
create function own.clock_timestamp() returns timestamptz language sql volatile as 'select pg_catalog.clock_timestamp() + (select shift from own.clock)';
create function own.statement_timestamp() returns timestamptz language sql stable as 'select pg_catalog.statement_timestamp() + (select shift from own.clock)';
do $$ begin execute format('alter database %I set search_path = own, pg_catalog', current_database()); end $$`

func withClock(t *testing.T) (*pgxpool.Pool, *outbox.Store) {
	t.Helper()
	url := testenv.DirectURL(t)
	if _, err := testenv.Connect(t, url).Exec(t.Context(), anotherClock); err != nil {
		t.Fatal(err)
	}
	pool := testenv.Connect(t, url)
	return pool, outbox.NewStore(pool, "", handover.Limits{}.Check)
}

func runAt(at time.Time) domain.Definition {
	return domain.Definition{RunAt: at.Format(time.RFC3339Nano), TaskName: "app.task"}
}

// TestPastIsWhatTheDatabaseSays writes schedules from a machine whose clock is an hour ahead, and one whose clock is
// behind.
func TestPastIsWhatTheDatabaseSays(t *testing.T) {
	t.Parallel()
	pool, store := withClock(t)
	shift := func(by string) {
		t.Helper()
		if _, err := pool.Exec(t.Context(), `update own.clock set shift = $1::text::interval`, by); err != nil {
			t.Fatal(err)
		}
	}
	atInPast, noFire := &domain.Error{Code: "at_in_past"}, &domain.Error{Code: "no_fire_in_window"}
	ago, later := time.Now().Add(-30*time.Minute), time.Now().Add(30*time.Minute)
	minutely := func(end time.Time) domain.Definition {
		return domain.Definition{Name: "minutely", CronExpression: "* * * * *", EndsAt: end.Format(time.RFC3339), TaskName: "app.task"}
	}

	shift("-1 hour")
	once, err := store.Create(t.Context(), runAt(ago), "", nil)
	if err != nil {
		t.Fatalf("it is to come, by the database's clock: %v", err)
	}
	if _, err := store.SetEnabled(t.Context(), once.ID, 0, false); err != nil {
		t.Fatal(err)
	}
	ending, _, err := store.Put(t.Context(), minutely(ago))
	if err != nil {
		t.Fatalf("it is to come, by the database's clock: %v", err)
	}

	shift("1 hour")
	if _, err := store.Create(t.Context(), runAt(later), "key", nil); !errors.Is(err, atInPast) {
		t.Errorf("it is past, by the database's clock: %v", err)
	}
	if _, _, err := store.Put(t.Context(), minutely(later)); !errors.Is(err, noFire) {
		t.Errorf("it ended, by the database's clock: %v", err)
	}
	if _, err := store.SetEnabled(t.Context(), once.ID, 0, true); !errors.Is(err, atInPast) {
		t.Errorf("what passed while it was disabled is enabled: %v", err)
	}
	if s, err := store.Merge(t.Context(), ending.ID, 0, []byte(`{"description": "it ended"}`)); err != nil || s.Version != 2 {
		t.Errorf("what ended is described: %v", err)
	}
	if _, err := store.SetEnabled(t.Context(), ending.ID, 0, false); err != nil {
		t.Fatal(err)
	}
	if _, err := store.SetEnabled(t.Context(), ending.ID, 0, true); !errors.Is(err, noFire) {
		t.Errorf("what ended is enabled: %v", err)
	}
}

// TestWhatIsAcceptedIsToCome makes schedules that are due in the milliseconds in which they are written: the accepted
// ones count their due times from before they are due.
func TestWhatIsAcceptedIsToCome(t *testing.T) {
	t.Parallel()
	pool, store := withClock(t)
	accepted, refused := 0, 0
	for n := 0; n < 3000 && (accepted < 20 || refused < 20); n++ {
		_, err := store.Create(t.Context(), runAt(time.Now().Add(rand.N(6*time.Millisecond))), "", nil)
		switch {
		case err == nil:
			accepted++
		case errors.Is(err, &domain.Error{Code: "at_in_past"}):
			refused++
		default:
			t.Fatal(err)
		}
	}
	if accepted == 0 || refused == 0 {
		t.Errorf("%d accepted and %d refused show nothing", accepted, refused)
	}
	var never int
	if err := pool.QueryRow(t.Context(), `select count(*) from tactus.schedules where anchor <= effective_from`).Scan(&never); err != nil || never > 0 {
		t.Errorf("%d of %d never fire: %v", never, accepted, err)
	}
}

// TestWhatSQLAcceptsIsToCome does the same by SQL, where a past schedule that is enabled again is refused as well.
func TestWhatSQLAcceptsIsToCome(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	put := func(name string, at time.Time, enabled bool) error {
		body := fmt.Sprintf(`{"name": %q, "run_at": %q, "enabled": %v, "task_name": "app.task"}`, name, at.UTC().Format(time.RFC3339Nano), enabled)
		_, err := pool.Exec(t.Context(), `select tactus.put_schedule($1::text)`, body)
		return err
	}
	accepted, refused := 0, 0
	for n := 0; n < 1000 && (accepted < 20 || refused < 20); n++ {
		switch err := put(fmt.Sprint("once ", n), time.Now().Add(rand.N(40*time.Millisecond)), true); {
		case err == nil:
			accepted++
		case strings.Contains(err.Error(), "at_in_past"):
			refused++
		default:
			t.Fatal(err)
		}
	}
	if accepted == 0 || refused == 0 {
		t.Errorf("%d accepted and %d refused show nothing", accepted, refused)
	}
	var never int
	if err := pool.QueryRow(t.Context(), `select count(*) from tactus.schedules where anchor <= effective_from`).Scan(&never); err != nil || never > 0 {
		t.Errorf("%d of %d never fire: %v", never, accepted, err)
	}
	soon := time.Now().Add(time.Second)
	if err := put("disabled", soon, false); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, "it is past", func() error {
		if left := time.Until(soon); left > 0 {
			return fmt.Errorf("%s are left", left)
		}
		return nil
	})
	if err := put("disabled", soon, true); err == nil || !strings.Contains(err.Error(), "at_in_past") {
		t.Errorf("what passed while it was disabled is enabled: %v", err)
	}
}
