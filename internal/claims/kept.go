package claims

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tactus-dev/tactus/internal/postgres"
	"github.com/tactus-dev/tactus/internal/tablelocks"
)

// claimTables are the tables without which Kept goes on.
const claimTables = "tactus.stream_claims tactus.stream_keys"

const isQueueSQL = `select (` + queueOfOtherSQL + `)`

// Kept asks for claims, and goes by what it was answered last while somebody has locked their tables. What it was never
// asked for counts as nobody's then: Redis refuses a list where there is a stream, and a stream where there is a list.
type Kept struct {
	pool   *pgxpool.Pool
	beside *tablelocks.Beside

	mu    sync.Mutex
	known map[string]Holder
}

// NewKept returns one over a pool.
func NewKept(pool *pgxpool.Pool, log *slog.Logger) *Kept {
	return &Kept{pool: pool, beside: tablelocks.NewBeside(pool, log), known: map[string]Holder{}}
}

// Claimed is Claimed.
func (k *Kept) Claimed(ctx context.Context, names []string) (map[string]Holder, error) {
	var of map[string]Holder
	locked, err := k.unlessLocked(ctx, func() (err error) {
		of, err = Claimed(ctx, k.pool, names)
		return err
	})
	if err != nil {
		return nil, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if locked {
		of = map[string]Holder{}
		for _, name := range names {
			if holder, ok := k.known[name]; ok {
				of[name] = holder
			}
		}
		return of, nil
	}
	for _, name := range names {
		delete(k.known, name)
	}
	maps.Copy(k.known, of)
	return of, nil
}

// Claim is Claim. A stream whose claims cannot be read or written may be written to if no queue has its name; it is
// claimed the next time.
func (k *Kept) Claim(ctx context.Context, stream, queue string) (may bool, err error) {
	has, err := k.Claimed(ctx, []string{stream})
	if of := has[stream]; err != nil || of.Held && of.Key {
		return err == nil, err
	}
	locked, err := k.unlessLocked(ctx, func() error {
		return k.beside.Do(ctx, claimSQL, func(sql string) (err error) {
			may, err = claim(ctx, k.pool, sql, stream, queue, has[stream].Held)
			return err
		})
	})
	if err != nil || !locked {
		return may, err
	}
	err = k.beside.Do(ctx, isQueueSQL, func(sql string) error {
		taken, err := postgres.Collect(ctx, k.pool, pgx.RowTo[bool], sql, pgx.QueryExecModeExec, queue, nobody,
			plainPart(queue))
		may = err == nil && !taken[0]
		return err
	})
	if err != nil {
		return false, fmt.Errorf("look whether %q is a queue: %w", queue, err)
	}
	return may || has[stream].Held, nil
}

// unlessLocked does what needs the tables of claims, or reports that somebody has locked them.
func (k *Kept) unlessLocked(ctx context.Context, do func() error) (locked bool, err error) {
	if k.beside.Locked(ctx, claimTables) {
		return true, nil
	}
	if err = do(); err != nil && k.beside.Asks(ctx, claimTables, err) {
		return true, nil
	}
	return false, err
}
