package catalog

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/domain"
)

// Totals are counted up to these numbers. A larger total is reported as the number itself.
const (
	MaxCount      = 100_000 // schedules
	MaxMatchCount = 10_000  // schedules whose rows have to be read
	MaxRunCount   = 10_000  // runs of one schedule
)

// maxPage is the most bytes of documents in one answer.
const maxPage = 16 << 20

// begin starts a transaction for reading, with settings for pages. Compiling the plan of a page takes longer than the
// page, so jit is off. Every order that is read has an index, but the planner only knows how many runs a schedule has
// on average and would sort the million runs of an unusual one, so sorting is off. An administrator's time-out for idle
// transactions may be too short for the time between two statements, so the transaction has its own. Its lock_timeout
// keeps it from waiting long for a lock on a whole table.
const begin = `begin isolation level repeatable read read only; set local jit = off; set local enable_sort = off; set local idle_in_transaction_session_timeout = '1min'; set local lock_timeout = '3s'`

// beginEach starts a transaction whose statements each have a snapshot of their own. It does not wait long for locks.
const beginEach = `begin isolation level read committed read only; set local jit = off;
    set local idle_in_transaction_session_timeout = '1min'; set local lock_timeout = '100ms'`

// read calls do in a read-only transaction, whose statements share one snapshot.
func (c *Catalog) read(ctx context.Context, do func(pgx.Tx) error) error {
	return pgx.BeginTxFunc(ctx, c.pool, pgx.TxOptions{BeginQuery: begin}, do)
}

// bounded collects rows, and returns an error if the documents in them are too large together. Each statement is
// planned for its own arguments, so filters that are not used cost nothing.
func bounded[T any](ctx context.Context, tx pgx.Tx, size func(T) int, sql string, args ...any) ([]T, error) {
	ctx, cancel := context.WithCancel(ctx) // a result that is too large is not read to its end
	defer cancel()
	rows, err := tx.Query(ctx, sql, append([]any{pgx.QueryExecModeExec}, args...)...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	found, bytes := []T{}, 0
	for rows.Next() {
		row, err := pgx.RowToStructByPos[T](rows)
		if err != nil {
			return nil, err
		}
		if bytes += size(row); bytes > maxPage {
			cancel()
			return nil, &domain.Error{
				Kind: domain.Invalid, Code: "page_too_large", Field: "",
				Message: fmt.Sprintf("the first %d have more than %d MiB together: ask for fewer at once (a smaller per_page, page_size or limit)",
					len(found)+1, maxPage>>20),
			}
		}
		if err := Hold(ctx, size(row)); err != nil {
			cancel()
			return nil, err
		}
		found = append(found, row)
	}
	return found, rows.Err()
}
