package relay

import (
	"context"
	"fmt"

	"github.com/tactus-dev/tactus/internal/postgres"
)

// listSQL moves dead letters from tactus.unlisted, where they were set aside while the whole table tactus.deadletters
// was locked, to that table: a few megabytes per statement.
const listSQL = `
with free as materialized (
    select source, reference, created_at, octet_length(data) as bytes from tactus.unlisted
    order by created_at, reference limit 1000 for update skip locked
),
first as (
    select source, reference from (
        select source, reference, sum(bytes) over (order by created_at, reference) - bytes as before from free
    ) f where before < 4194304
),
moved as (
    delete from tactus.unlisted u using first where u.source = first.source and u.reference = first.reference
    returning u.*
),
listed as (
    insert into tactus.deadletters (source, reference, reason, data, created_at)
    select source, reference, reason, data, created_at from moved order by created_at, reference
    on conflict (source, reference) do nothing
)
select count(*) from moved`

// listUnlisted moves all dead letters of tactus.unlisted to tactus.deadletters. While that table is still locked, it
// leaves them for later.
func (r *Relay) listUnlisted(ctx context.Context) error {
	for {
		n, err := r.listSome(ctx)
		if postgres.LockTimedOut(err) || postgres.Code(err) == undefinedTable { // or an older schema
			return nil
		}
		if err != nil {
			return fmt.Errorf("list dead letters: %w", err)
		}
		if n == 0 {
			return nil
		}
		r.cfg.Log.Info("dead letters that were set aside while their table was locked are listed", "letters", n)
	}
}

func (r *Relay) listSome(ctx context.Context) (n int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, r.cfg.Patience)
	defer cancel()
	err = r.db.QueryRow(ctx, listSQL).Scan(&n)
	return n, err
}
