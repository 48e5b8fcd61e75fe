package ledger

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/tactus-dev/tactus/outbox"
)

// A refusal is that relays of this database must not fill a sink, because it belongs to another installation, or to a
// copy of this database that has taken over. The sink's own mark says so, and is lost with the data of its Redis. Then
// the sink looks new to everybody: without a record here, it would go to whichever relay asks first, and its owner
// would be the one that is refused. With it, only the owner goes on, and the other needs tactus relay --take-over as
// before.

const (
	refusalsSQL = `select place, owner from tactus.refusals`
	refuseSQL   = `
insert into tactus.refusals (place, owner) select @place, @owner
where not exists (select from tactus.refusals where place = @place and owner = @owner)
on conflict (place) do update set owner = excluded.owner, refused_at = excluded.refused_at`
	allowSQL = `delete from tactus.refusals where place = @place`
)

// ReadRefusals returns who owns the places at which relays of this database were refused. A schema before refusals has
// none.
func ReadRefusals(ctx context.Context, q outbox.Querier) (map[string]string, error) {
	rows, err := q.Query(ctx, refusalsSQL, pgx.QueryExecModeExec)
	if err != nil {
		return nil, fmt.Errorf("read refusals: %w", err)
	}
	found, place, owner := map[string]string{}, "", ""
	_, err = pgx.ForEachRow(rows, []any{&place, &owner}, func() error {
		found[place] = owner
		return nil
	})
	if beforeRefusals(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read refusals: %w", err)
	}
	return found, nil
}

// Refuse records that the sink at a place belongs to somebody else. A schema before refusals keeps none.
func Refuse(ctx context.Context, q outbox.Querier, place, owner string) error {
	err := execNamed(ctx, q, "keep the refusal of "+place, refuseSQL, pgx.NamedArgs{"place": place, "owner": owner})
	if beforeRefusals(err) {
		return nil
	}
	return err
}

func beforeRefusals(err error) bool {
	e, ok := errors.AsType[*pgconn.PgError](err)
	return ok && e.Code == undefinedTable
}

// Allow forgets that the sink at a place belonged to somebody else: it was taken over.
func Allow(ctx context.Context, q outbox.Querier, place string) error {
	return execNamed(ctx, q, "forget the refusal of "+place, allowSQL, pgx.NamedArgs{"place": place})
}
