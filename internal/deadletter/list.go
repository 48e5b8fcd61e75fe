package deadletter

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/internal/redis"
)

// Filter selects letters. The zero value selects all.
type Filter struct {
	Source string
	IDs    []string // a missing one is an error
	Limit  int      // the newest so many of each place, PostgreSQL and Redis; 0 for all
}

// MostData is how many characters of a letter's data are shown.
const MostData = 4096

const list = `
select id::text, source, reference, reason, left(data, @most), octet_length(data), created_at
from tactus.deadletters
where dropped_at is null and (@source = '' or source = @source)
    and (@ids::bigint[] is null or id = any (@ids::bigint[]))
order by id desc limit nullif(@limit::bigint, 0)`

// List returns letters, oldest first. If only one of PostgreSQL and Redis answers, List returns that one's letters
// beside an error.
func (b *Box) List(ctx context.Context, f Filter) ([]Letter, error) {
	rows, entries, err := parse(f.IDs)
	if err != nil {
		return nil, err
	}
	var all []Letter
	var failed error
	if f.Source != FromEntries && (f.IDs == nil || rows != nil) {
		all, failed = b.rows(ctx, f, rows)
	}
	if b.Redis != nil && (f.Source == "" || f.Source == FromEntries) && (f.IDs == nil || entries != nil) {
		found, err := b.entries(ctx, entries, f.Limit)
		all, failed = append(all, found...), errors.Join(failed, err)
	}
	if failed == nil {
		failed = missing(f.IDs, all)
	}
	return all, failed
}

func missing(ids []string, found []Letter) error {
	var errs []error
	for _, id := range ids {
		if !slices.ContainsFunc(found, func(l Letter) bool { return l.ID == id }) {
			errs = append(errs, fmt.Errorf("%s: %w", id, ErrNone))
		}
	}
	return errors.Join(errs...)
}

func (b *Box) rows(ctx context.Context, f Filter, ids []int64) ([]Letter, error) {
	rows, err := b.Pool.Query(ctx, list,
		pgx.NamedArgs{"source": f.Source, "ids": ids, "limit": f.Limit, "most": MostData})
	if err != nil {
		return nil, fmt.Errorf("list dead letters: %w", err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Letter])
	if err != nil {
		return nil, fmt.Errorf("list dead letters: %w", err)
	}
	slices.Reverse(all)
	return all, nil
}

func (b *Box) entries(ctx context.Context, ids []string, limit int) (all []Letter, err error) {
	found, err := redis.Letters(ctx, b.Redis, b.Stream, ids, limit)
	if err != nil {
		return nil, err
	}
	for _, l := range found {
		text := []rune(strings.ToValidUTF8(l.Data, ""))
		all = append(all, Letter{
			ID: l.ID, Source: FromEntries, Reference: b.Stream + "/" + l.Entry + " " + l.Group, Reason: l.Reason,
			Data: string(text[:min(len(text), MostData)]), Size: int64(l.Size), At: l.At,
		})
	}
	return all, nil
}

const count = `select source, count(*) from tactus.deadletters where dropped_at is null group by source`

// Count returns the number of letters by source. Like List, it returns what it has beside an error.
func (b *Box) Count(ctx context.Context) (map[string]int64, error) {
	counts := map[string]int64{}
	rows, err := b.Pool.Query(ctx, count)
	if err == nil {
		var source string
		var n int64
		_, err = pgx.ForEachRow(rows, []any{&source, &n}, func() error { counts[source] = n; return nil })
	}
	if b.Redis == nil {
		return counts, err
	}
	entries, failed := b.Redis.XLen(ctx, redis.DeadLetters(b.Stream)).Result()
	if failed == nil {
		counts[FromEntries] = entries
	}
	return counts, errors.Join(err, failed)
}
