package shadow

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// pruned is the most rows of each table that one call deletes.
const pruned = 20_000

const (
	pruneDecided = `
delete from tactus.shadow_runs where (schedule_id, due_at) in (
    select schedule_id, due_at from tactus.shadow_runs where decided_at < $1::timestamptz order by decided_at
        limit $2)`
	pruneSent = `
delete from tactus.shadow_sent where task_id in (
    select task_id from tactus.shadow_sent where heard_at < $1::timestamptz order by heard_at limit $2)`
	pruneWatches = `
delete from tactus.shadow_watches where id in (
    select id from tactus.shadow_watches where until < $1::timestamptz order by until limit $2)`
)

const undefinedTable = "42P01"

// Prune deletes the records of shadow mode from before an instant. It does nothing on a schema without shadow mode.
func Prune(ctx context.Context, pool *pgxpool.Pool, before time.Time) error {
	for _, sql := range []string{pruneDecided, pruneSent, pruneWatches} {
		_, err := pool.Exec(ctx, sql, pooled, before, pruned)
		if e, ok := errors.AsType[*pgconn.PgError](err); ok && e.Code == undefinedTable {
			return nil
		}
		if err != nil {
			return fmt.Errorf("prune the records of shadow mode: %w", err)
		}
	}
	return nil
}
