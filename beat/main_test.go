package beat

import (
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/domain/handover"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/outbox"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// world is a database whose clock the test sets, with a store to write to it, and the beats that run on it.
type world struct {
	*testing.T
	url    string
	direct string // without a pooler
	pool   *pgxpool.Pool
	store  *outbox.Store
	now    time.Time
}

// ownClock puts clocks before Postgres' own, which statements that do not name their schema find first.
const ownClock = `
create schema own;
create table own.clock as select now() as now;
create function own.clock_timestamp() returns timestamptz language sql volatile as 'select now from own.clock';
create function own.statement_timestamp() returns timestamptz language sql stable as 'select now from own.clock';
do $$ begin execute format('alter database %I set search_path = own, pg_catalog', current_database()); end $$`

func newWorld(t *testing.T) *world {
	t.Helper()
	direct := testenv.DirectURL(t)
	if _, err := testenv.Connect(t, direct).Exec(t.Context(), ownClock); err != nil {
		t.Fatal(err)
	}
	w := &world{T: t, direct: direct, url: testenv.Pooled(t, direct)}
	w.pool = testenv.Connect(t, w.url)
	w.store = outbox.NewStore(w.pool, "", handover.Limits{}.Check)
	w.setClock(time.Now().Truncate(time.Hour).Add(time.Hour + 30*time.Second))
	return w
}

// setClock sets the clock.
func (w *world) setClock(now time.Time) {
	w.Helper()
	if _, err := w.pool.Exec(w.Context(), `update own.clock set now = $1`, now); err != nil {
		w.Fatal(err)
	}
	w.now = now
}

// beat makes a beat that has loaded and has looked at the lease once.
func (w *world) beat(name string) *Beat {
	w.Helper()
	return w.beatOver(w.pool, name)
}

func (w *world) beatOver(pool *pgxpool.Pool, name string) *Beat {
	w.Helper()
	return w.beatWith(pool, Config{Name: name})
}

func (w *world) beatWith(pool *pgxpool.Pool, cfg Config) *Beat {
	w.Helper()
	cfg.Log = slog.New(slog.NewTextHandler(w.Output(), nil))
	b, err := New(pool, nil, cfg)
	if err != nil {
		w.Fatal(err)
	}
	b.backfills.within = partTimeout // the machine is busy
	b.clock.trusting = true
	b.parallel = sideBySide{3, 1} // even with few due times
	if err := b.start(w.Context()); err != nil {
		w.Fatal(err)
	}
	w.step(b, w.now)
	return b
}

// step sets the clock, and steps a beat until nothing is to be done at that time.
func (w *world) step(b *Beat, at time.Time) {
	w.Helper()
	if !at.Equal(w.now) {
		w.setClock(at)
	}
	now := at.UnixMicro()
	for range 10_000 {
		wake, err := b.step(w.Context(), now)
		if err != nil {
			w.Fatal(err)
		}
		if wake > now {
			return
		}
	}
	w.Fatal("the beat is never done")
}

// create makes a schedule.
func (w *world) create(definition string) domain.Schedule {
	w.Helper()
	d, err := domain.Decode([]byte(definition))
	if err != nil {
		w.Fatal(err)
	}
	s, err := w.store.Create(w.Context(), d, "", nil)
	if err != nil {
		w.Fatal(err)
	}
	return s
}

// runs returns the rows of a schedule, oldest first: due time, state and reason.
func (w *world) runs(id domain.ID) (texts []string) {
	w.Helper()
	rows, err := w.pool.Query(w.Context(), `select due_at, until, status, coalesce(reason, '') from tactus.runs where schedule_id = $1 order by due_at`, id)
	if err != nil {
		w.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var due time.Time
		var until *time.Time
		var status, reason string
		if err := rows.Scan(&due, &until, &status, &reason); err != nil {
			w.Fatal(err)
		}
		text := due.UTC().Format(time.RFC3339Nano) + " " + status
		if until != nil {
			text += " to " + until.UTC().Format(time.RFC3339Nano) + " " + reason
		}
		texts = append(texts, text)
	}
	if err := rows.Err(); err != nil {
		w.Fatal(err)
	}
	return texts
}

func (w *world) count(sql string, args ...any) (n int) {
	w.Helper()
	if err := w.pool.QueryRow(w.Context(), sql, args...).Scan(&n); err != nil {
		w.Fatal(err)
	}
	return n
}

func (w *world) execute(sql string, args ...any) {
	w.Helper()
	if _, err := w.pool.Exec(w.Context(), sql, args...); err != nil {
		w.Fatalf("%s: %v", sql, err)
	}
}

// merge patches a schedule.
func (w *world) merge(id domain.ID, patch string) domain.Schedule {
	w.Helper()
	s, err := w.store.Merge(w.Context(), id, 0, []byte(patch))
	if err != nil {
		w.Fatal(err)
	}
	return s
}

// backdate makes a schedule older, as if it had not fired since.
func (w *world) backdate(s domain.Schedule, by time.Duration) domain.Schedule {
	w.Helper()
	s.EffectiveFrom = s.EffectiveFrom.Add(-by)
	_, err := w.pool.Exec(w.Context(), `update tactus.schedules set effective_from = $2 where id = $1`, s.ID, s.EffectiveFrom)
	if err != nil {
		w.Fatal(err)
	}
	return s
}

// stop ends a beat cleanly.
func (w *world) stop(b *Beat) {
	w.Helper()
	if err := b.release(w.Context(), w.now.UnixMicro()); err != nil {
		w.Fatal(err)
	}
}

// endBeat ends a beat: by a stop, or by a crash, after which its lease runs out.
func (w *world) endBeat(b *Beat, how string) {
	w.Helper()
	if how == "stop" {
		w.stop(b)
		return
	}
	if _, err := w.pool.Exec(w.Context(), `update tactus.leases set expires_at = '-infinity'`); err != nil {
		w.Fatal(err)
	}
}

// createIn makes a schedule in a transaction.
func (w *world) createIn(tx pgx.Tx, definition string) domain.Schedule {
	w.Helper()
	d, err := domain.Decode([]byte(definition))
	if err != nil {
		w.Fatal(err)
	}
	s, err := outbox.Create(w.Context(), tx, d)
	if err != nil {
		w.Fatal(err)
	}
	return s
}

// expect returns an error that says how the runs of a schedule differ from the wanted ones.
func (w *world) expect(id domain.ID, want ...string) error {
	w.Helper()
	if diff := cmp.Diff(want, w.runs(id)); diff != "" {
		return fmt.Errorf("runs (-want +got):\n%s", diff)
	}
	return nil
}
