package revoke

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	goredis "github.com/redis/go-redis/v9"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/celery"
	"github.com/tactus-dev/tactus/internal/postgres"
	"github.com/tactus-dev/tactus/internal/wait"
)

// Teller tells workers of cancelled runs.
type Teller struct {
	Pool   *pgxpool.Pool
	Broker goredis.UniversalClient
	Prefix string // of the broker's channels: /0.
	Log    *slog.Logger
}

const (
	every     = time.Second
	mostAtOne = 500 // runs that one message names
)

// Run tells workers until ctx ends.
func (t Teller) Run(ctx context.Context) {
	failing := false
	for ctx.Err() == nil {
		told, err := t.Tell(ctx)
		if failed := err != nil && ctx.Err() == nil; failed != failing {
			if failing = failed; failed {
				t.Log.Error("cannot tell workers of cancelled runs: trying again", "err", err)
			}
		}
		if told < mostAtOne {
			_ = wait.For(ctx, every)
		}
	}
}

// toldSQL finds what is to be told: what was never told, and within an hour, twice a minute, what is still open. It
// drops what is older than a day, by PostgreSQL's clock and by the host's.
const toldSQL = `
with gone as (
    delete from tactus.cancellations where run_id in (
        select run_id from tactus.cancellations where asked_at < least(clock_timestamp(), $2::timestamptz) - interval '1 day' limit 1000 for update skip locked)
)
select c.run_id, c.terminate from tactus.cancellations c
where c.told_at is null or c.told_at < clock_timestamp() - interval '30 seconds' and c.asked_at > least(clock_timestamp(), $2::timestamptz) - interval '1 hour'
    and exists (select from tactus.runs r where r.id = c.run_id and r.finished_at is null)
order by c.asked_at, c.run_id limit $1::bigint`

const notedSQL = `update tactus.cancellations set told_at = clock_timestamp() where run_id = any ($1::uuid[])`

// Tell tells workers of the runs that are to be told now, and returns how many those are. When the note of it is lost,
// they are told twice, which changes nothing.
func (t Teller) Tell(ctx context.Context) (told int, err error) {
	rows, err := t.Pool.Query(ctx, toldSQL, mostAtOne, time.Now())
	if err != nil {
		return 0, ofOldSchema(err)
	}
	kill := map[bool][]domain.ID{}
	var all []domain.ID
	var id domain.ID
	var terminate bool
	if _, err := pgx.ForEachRow(rows, []any{&id, &terminate}, func() error {
		kill[terminate] = append(kill[terminate], id)
		all = append(all, id)
		return nil
	}); err != nil {
		return 0, ofOldSchema(err)
	}
	for terminate, runs := range kill {
		message, err := celery.Revoke(runs, terminate, uuid.NewString())
		if err != nil {
			return 0, err
		}
		if err := t.Broker.Publish(ctx, t.Prefix+celery.ControlChannel, message).Err(); err != nil {
			return 0, fmt.Errorf("tell workers of cancelled runs: %w", err)
		}
	}
	if len(all) == 0 {
		return 0, nil
	}
	if _, err := t.Pool.Exec(ctx, notedSQL, all); err != nil {
		return len(all), fmt.Errorf("note who was told: %w", err)
	}
	t.Log.Info("told workers of cancelled runs", "runs", len(all))
	return len(all), nil
}

// ofOldSchema wraps an error, except that of a schema without cancellations.
func ofOldSchema(err error) error {
	if postgres.Code(err) == "42P01" {
		return nil
	}
	return fmt.Errorf("read cancelled runs: %w", err)
}
