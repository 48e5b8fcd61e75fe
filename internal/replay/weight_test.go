package replay_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/replay"
)

// rowsRead counts the rows that statements answer.
type rowsRead struct{ most, all atomic.Int64 }

func (r *rowsRead) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	return ctx
}

func (r *rowsRead) TraceQueryEnd(_ context.Context, _ *pgx.Conn, data pgx.TraceQueryEndData) {
	n := data.CommandTag.RowsAffected()
	r.all.Add(n)
	r.most.Store(max(r.most.Load(), n))
}

// TestLargeEventsAreReadFewAtATime replays events of a quarter of a megabyte: PostgreSQL is asked for no more of them
// at once than a page holds, and for each about once.
func TestLargeEventsAreReadFewAtATime(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const many = 100
	for n := range many {
		if _, _, err := w.store.Put(t.Context(), domain.Definition{
			Name: fmt.Sprint(n), CronExpression: "*/5 * * * *", TaskName: "app.task",
			Kwargs: json.RawMessage(`{"k":"` + strings.Repeat("x", 250_000) + `"}`),
		}); err != nil {
			t.Fatal(err)
		}
	}
	var read rowsRead
	cfg := w.pool.Config()
	cfg.ConnConfig.Tracer = &read
	pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	if err := w.open(t).Run(t.Context(), pool, w.begin(t, replay.Range{}), 0, nil); err != nil {
		t.Fatal(err)
	}
	if n := len(w.replayed(t)); n != many {
		t.Errorf("%d are replayed", n)
	}
	if read.most.Load() > 20 || read.all.Load() > many+many/4 {
		t.Errorf("a statement answers %d events of %d, all of them %d", read.most.Load(), many, read.all.Load())
	}
}
