package relay

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/internal/sqlexpr"
	"github.com/tactus-dev/tactus/outbox"
)

// bellWatch logs when a session keeps the lock of a bell. Writers hold this lock for the time of a commit. If a
// transaction that was left open, or a stranger, keeps it, no writer can ring. All rows are then found by polling, a
// fraction of a second later, and nothing but this log line would show why.
type bellWatch struct {
	log  *slog.Logger
	held map[string]bool // the holders at the last look, by process and transaction
	told bool
}

const bellHoldersSQL = `
select format('pid %s in transaction %s', pid, virtualtransaction) from pg_locks
where locktype = 'advisory' and granted and objsubid = 2
    and database = (select oid from pg_database where datname = current_database())
    and (classid::bigint, objid::bigint) in ((` + sqlexpr.ScheduleBellLock + `), (` + sqlexpr.RunBellLock + `))`

// look compares the current holders of the locks with those at the last look, and logs a holder that is among both.
func (w *bellWatch) look(ctx context.Context, q outbox.Querier) error {
	rows, err := q.Query(ctx, bellHoldersSQL)
	if err != nil {
		return fmt.Errorf("look at the bells: %w", err)
	}
	holders, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return fmt.Errorf("look at the bells: %w", err)
	}
	before := w.held
	w.held = map[string]bool{}
	holding := ""
	for _, holder := range holders {
		if w.held[holder] = true; before[holder] {
			holding = holder
		}
	}
	switch {
	case holding != "" && !w.told:
		w.log.Warn("somebody keeps the lock of a bell: nobody is notified, and what is written is found by polling only",
			"holder", holding)
	case holding == "" && w.told:
		w.log.Info("the lock of the bell is free again")
	}
	w.told = holding != ""
	return nil
}
