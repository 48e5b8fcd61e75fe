package tablelocks

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/tactus-dev/tactus/internal/postgres"
)

// Watch knows the locks that last: those that it has seen at two looks, one after the other. What tactus does to its
// own partitions takes less.
type Watch struct {
	q   postgres.Querier
	log *slog.Logger

	mu     sync.Mutex
	last   []Lock
	lasts  []Lock
	failed error
	told   string
}

// NewWatch returns a watch that asks over q.
func NewWatch(q postgres.Querier, log *slog.Logger) *Watch { return &Watch{q: q, log: log} }

// watchEvery is how often Run looks.
const watchEvery = 5 * time.Second

// Run looks until ctx ends.
func (w *Watch) Run(ctx context.Context) error {
	for {
		w.Look(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(watchEvery):
		}
	}
}

// Look looks once. The log is told what lasts, and when it is over.
func (w *Watch) Look(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, watchEvery)
	defer cancel()
	all, err := Tables(ctx, w.q)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.failed = err; err != nil {
		return
	}
	w.lasts = slices.DeleteFunc(slices.Clone(all), func(l Lock) bool {
		return !slices.ContainsFunc(w.last, func(before Lock) bool {
			return before.Table == l.Table && before.Mode == l.Mode && before.PID == l.PID
		})
	})
	w.last = all
	switch text := Text(w.lasts); {
	case text == w.told:
	case text == "":
		w.log.Info("no table of tactus is locked any more")
		w.told = ""
	default:
		w.log.Warn("a whole table of tactus is locked", "err", text)
		w.told = text
	}
}

// Lasting names the locks that last; "" when there are none.
func (w *Watch) Lasting() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return Text(w.lasts)
}

// Tables counts the tables and partitions that are locked, by locks that last. It is not known while PostgreSQL does
// not answer.
func (w *Watch) Tables() (n int, known bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	named := map[string]bool{}
	for _, l := range w.lasts {
		named[l.Table] = true
	}
	return len(named), w.failed == nil
}
