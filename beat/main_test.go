package beat

import (
	"log/slog"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/outbox"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// world is a database, with the write path, and the beats on it.
type world struct {
	*testing.T
	pool  *pgxpool.Pool
	store *outbox.Store
}

func newWorld(t *testing.T) *world {
	t.Helper()
	pool := testenv.Database(t)
	return &world{t, pool, outbox.NewStore(pool, "")}
}

// beat makes a beat that has loaded, and looked at the lease once.
func (w *world) beat(name string) *Beat {
	w.Helper()
	b, err := New(w.pool, nil, Config{Name: name, Log: slog.New(slog.NewTextHandler(w.Output(), nil))})
	if err != nil {
		w.Fatal(err)
	}
	if err := b.start(w.Context()); err != nil {
		w.Fatal(err)
	}
	w.step(b, time.Now())
	return b
}

// step has a beat do what is due at a time, until nothing is.
func (w *world) step(b *Beat, at time.Time) {
	w.Helper()
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

// runs are the rows of a schedule, oldest first: when it was due, how it stands, and why.
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
