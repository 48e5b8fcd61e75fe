package ledger

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/outbox"
)

// RegisteredSink is a sink that the log is kept for: rows that the sink lacks are not pruned.
type RegisteredSink struct {
	Name, Topic string
	Silent      time.Duration // since its newest batch was cut; a sink that is served gets one every ten minutes
}

const registeredSinksSQL = `
select s.sink, s.topic, clock_timestamp() - greatest(s.registered_at, (select max(committed_at) from tactus.relay_batches b where b.sink = s.sink))
from tactus.relay_sinks s order by s.sink`

// Sinks returns the registered sinks, whether or not a relay serves them.
func Sinks(ctx context.Context, q outbox.Querier) ([]RegisteredSink, error) {
	rows, err := q.Query(ctx, registeredSinksSQL)
	if err != nil {
		return nil, fmt.Errorf("read sinks: %w", err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[RegisteredSink])
	if err != nil {
		return nil, fmt.Errorf("read sinks: %w", err)
	}
	return all, nil
}

// Confirmed returns the place up to which it is recorded what a sink has; zero when the sink is not registered.
func Confirmed(ctx context.Context, q outbox.Querier, sink string) (ID, error) {
	rows, err := q.Query(ctx, `select confirmed_batch, confirmed_place from tactus.relay_sinks where sink = $1`,
		pgx.QueryExecModeExec, sink)
	if err != nil {
		return ID{}, fmt.Errorf("read what is confirmed: %w", err)
	}
	p, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[ID])
	if errors.Is(err, pgx.ErrNoRows) {
		return ID{}, nil
	}
	if err != nil {
		return ID{}, fmt.Errorf("read what is confirmed: %w", err)
	}
	return p, nil
}

// Forget returns these errors for a sink that it does not unregister.
var (
	ErrNoSink = errors.New("no sink of that name is registered")
	ErrServed = errors.New("a relay serves the sink, or did a while ago")
)

const forgetSinkSQL = `
with known as materialized (select sink from tactus.relay_sinks where sink = @sink),
gone as (
    delete from tactus.relay_sinks s using known where s.sink = known.sink and (s.stopped is not null
        or exists (select from tactus.relay_batches b where b.sink = s.sink and b.number > 6917529027641081855)
            or least(clock_timestamp(), @host::timestamptz) - @quiet::interval >
        greatest(s.registered_at, (select max(committed_at) from tactus.relay_batches b where b.sink = s.sink)))
    returning s.sink
),
batches as (delete from tactus.relay_batches b using gone where b.sink = gone.sink),
forwards as (delete from tactus.relay_forwards f using gone where f.sink = gone.sink)
select exists (select from known), exists (select from gone)`

// Forget unregisters a sink that no relay has served for the time quiet, or that no relay can serve: it was stopped
// (see Stop), or its batch numbers exceed those that marks can hold (lua/mark.lua). The log is no longer kept for the
// sink. If a relay serves a sink of that name later, the sink is a new one.
func Forget(ctx context.Context, q outbox.Querier, sink string, quiet time.Duration) error {
	rows, err := q.Query(ctx, forgetSinkSQL, pgx.NamedArgs{"sink": sink, "quiet": quiet, "host": time.Now()})
	if err != nil {
		return fmt.Errorf("forget %s: %w", sink, err)
	}
	did, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[struct{ Known, Gone bool }])
	switch {
	case err != nil:
		return fmt.Errorf("forget %s: %w", sink, err)
	case !did.Known:
		return fmt.Errorf("forget %s: %w", sink, ErrNoSink)
	case !did.Gone:
		return fmt.Errorf("forget %s: %w", sink, ErrServed)
	}
	return nil
}

const stopSinkSQL = `update tactus.relay_sinks set stopped = nullif(@reason, '') where sink = @sink and epoch = @epoch and stopped is distinct from nullif(@reason, '')`

// Stop records why no relay can serve a sink. An empty reason records that relays can serve it again.
func Stop(ctx context.Context, q outbox.Querier, sink, epoch, reason string) error {
	return execNamed(ctx, q, "stop "+sink, stopSinkSQL, pgx.NamedArgs{"sink": sink, "epoch": epoch, "reason": reason})
}
