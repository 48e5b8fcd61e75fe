package ledger

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/tactus-dev/tactus/outbox"
)

// A refusal records that relays of this database must not fill a sink, because the sink belongs to another
// installation, or to a copy of this database that has taken it over. The sink's mark names its owner, but the mark is
// lost if Redis loses its data. The sink then looks new to every relay: without a refusal, the relay that asks first
// would become the owner, and the true owner would be refused. With the refusal, only the owner's relays continue, and
// relays of this database still need tactus relay --take-over.

const (
	refusalsSQL = `select place, owner from tactus.refusals`
	refuseSQL   = `
insert into tactus.refusals (place, owner) select @place, @owner
where not exists (select from tactus.refusals where place = @place and owner = @owner)
on conflict (place) do update set owner = excluded.owner, refused_at = excluded.refused_at`
	allowSQL = `delete from tactus.refusals where place = @place`
)

// ReadRefusals returns the owners of the sinks that relays of this database were refused, by the address of the sink.
// On a schema from before refusals it returns none.
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

// Refuse records that the sink at an address belongs to another owner. On a schema from before refusals it does
// nothing.
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

// Allow deletes the refusal of the sink at an address, because this database has taken the sink over.
func Allow(ctx context.Context, q outbox.Querier, place string) error {
	return execNamed(ctx, q, "forget the refusal of "+place, allowSQL, pgx.NamedArgs{"place": place})
}
