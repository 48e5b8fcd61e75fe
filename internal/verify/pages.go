package verify

import (
	"context"
	"fmt"
	"iter"

	"github.com/jackc/pgx/v5"
)

// querier is a pool or a transaction.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

const logPage = 500

// pages reads a query by a cursor: bounded in memory, and between two pages the connection is free for other questions.
// name is the cursor's.
func pages[T any](ctx context.Context, tx pgx.Tx, name, sql string, args ...any) iter.Seq2[[]T, error] {
	return func(yield func([]T, error) bool) {
		if _, err := tx.Exec(ctx, "declare "+name+" no scroll cursor for "+sql, append([]any{pgx.QueryExecModeExec}, args...)...); err != nil {
			yield(nil, err)
			return
		}
		fetch := fmt.Sprintf("fetch %d from %s", logPage, name)
		for {
			rows, err := tx.Query(ctx, fetch, pgx.QueryExecModeDescribeExec)
			if err != nil {
				yield(nil, err)
				return
			}
			page, err := pgx.CollectRows(rows, pgx.RowToStructByPos[T])
			if len(page) == 0 && err == nil {
				_, err = tx.Exec(ctx, "close "+name)
				if err == nil {
					return
				}
			}
			if !yield(page, err) || err != nil {
				return
			}
		}
	}
}

// each yields the rows of pages, one by one.
func each[T any](all iter.Seq2[[]T, error]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for page, err := range all {
			if err != nil {
				yield(*new(T), err)
				return
			}
			for _, row := range page {
				if !yield(row, nil) {
					return
				}
			}
		}
	}
}
