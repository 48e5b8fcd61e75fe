// Package cursor reads queries of any size in pages, by a cursor of Postgres: bounded in memory by the size of their
// rows as by their number, and between two pages the connection is free for other questions.
package cursor

import (
	"context"
	"fmt"
	"iter"

	"github.com/jackc/pgx/v5"
)

// Unhurried lets a transaction that reads by cursors take its time, whatever an administrator has set, ends one whose
// reader has been stopped, with what it holds, and plans for reading to the end. It waits 5 seconds at most for whoever
// has locked a whole table.
const Unhurried = `
select set_config('statement_timeout', '0', true), set_config('idle_in_transaction_session_timeout', '5min', true),
    set_config('cursor_tuple_fraction', '1', true), set_config('lock_timeout', '5s', true)`

// Pages yields the rows of a query, some at a time, none empty. name is the cursor's, of its own in the transaction.
func Pages[T any](ctx context.Context, tx pgx.Tx, name, sql string, args ...any) iter.Seq2[[]T, error] {
	return func(yield func([]T, error) bool) {
		if _, err := tx.Exec(ctx, "declare "+name+" no scroll cursor for "+sql,
			append([]any{pgx.QueryExecModeExec}, args...)...); err != nil {
			yield(nil, err)
			return
		}
		var size Size
		for {
			rows, err := tx.Query(ctx, fmt.Sprintf("fetch %d from %s", size.Rows(), name),
				pgx.QueryExecModeDescribeExec)
			if err != nil {
				yield(nil, err)
				return
			}
			largest := 0
			page, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (T, error) {
				largest = max(largest, bytesOf(row))
				return pgx.RowToStructByPos[T](row)
			})
			size.Had(largest)
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

// Rows yields the rows of a query, one by one.
func Rows[T any](ctx context.Context, tx pgx.Tx, name, sql string, args ...any) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for page, err := range Pages[T](ctx, tx, name, sql, args...) {
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

func bytesOf(row pgx.CollectableRow) (n int) {
	for _, value := range row.RawValues() {
		n += len(value)
	}
	return n
}
