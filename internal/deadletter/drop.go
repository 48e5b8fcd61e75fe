package deadletter

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/internal/redis"
)

// Drop removes letters from the list for good, and returns those that it has removed. Locked letters stay.
func (b *Box) Drop(ctx context.Context, letters []Letter) (dropped []Letter, err error) {
	var rows []int64
	var entries []string
	for _, l := range letters {
		if l.Source == FromEntries {
			entries = append(entries, l.ID)
		} else {
			rows = append(rows, l.row())
		}
	}
	gone, err := b.dropRows(ctx, rows)
	if len(entries) > 0 {
		var deleted []string
		var failed error
		deleted, failed = redis.DropLetters(ctx, b.Redis, b.Stream, entries...)
		gone, err = append(gone, deleted...), errors.Join(err, failed)
	}
	for _, l := range letters {
		if slices.Contains(gone, l.ID) {
			dropped = append(dropped, l)
		}
	}
	return dropped, err
}

const drop = `
update tactus.deadletters set dropped_at = clock_timestamp() where id in (
    select id from tactus.deadletters where id = any ($1::bigint[]) and dropped_at is null order by id
        for update skip locked
) returning id::text`

func (b *Box) dropRows(ctx context.Context, ids []int64) ([]string, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	rows, err := b.Pool.Query(ctx, drop, ids)
	if err != nil {
		return nil, fmt.Errorf("drop dead letters: %w", err)
	}
	gone, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("drop dead letters: %w", err)
	}
	return gone, nil
}
