package relay

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/outbox"
	"github.com/tactus-dev/tactus/relay/ledger"
)

// setAside also ends a run that can never be handed over: its history says why.
const setAside = `
with aside as (
    insert into tactus.deadletters (source, reference, reason, data)
    select @source, @reference, @reason, data::text from tactus.outbox where topic = @topic and position = @position
    on conflict (source, reference) do nothing
)
update tactus.runs set status = 'failed', error = 'it could not be handed over: ' || @reason, finished_at = clock_timestamp()
where @topic = 'run' and id = @aggregate and status in ('due', 'sent') and finished_at is null`

// setAside keeps a row that cannot be delivered, with the reason, so that everything else goes on.
func (l *lane) setAside(ctx context.Context, row outbox.Row, reason string) error {
	ctx, cancel := context.WithTimeout(ctx, l.patience)
	defer cancel()
	_, err := l.db.Exec(ctx, setAside, pgx.NamedArgs{
		"source": l.Name, "reference": reference(row), "reason": reason, "topic": l.Topic, "position": row.Position, "aggregate": row.Aggregate,
	})
	if err != nil {
		return fmt.Errorf("set %s aside: %w", reference(row), err)
	}
	l.tally.aside()
	l.log.Error("set aside", "sink", l.Name, "event_id", reference(row), "reason", reason)
	return nil
}

// reference names a row among the dead letters of a sink.
func reference(row outbox.Row) string { return fmt.Sprintf("%s/%d", row.Aggregate, row.Version) }

// passedOver are the events of runs that are not to be handed over by them: the run has started or was set aside, or it has a later
// event, by which somebody has put it back.
const passedOver = `
select e.id, e.version from unnest($1::uuid[], $2::bigint[]) e (id, version) join tactus.runs r on r.id = e.id
where r.redelivered + 1 <> e.version or r.status in ('started', 'retrying', 'succeeded', 'failed')`

// event is an event of a run.
type event struct {
	of      domain.ID
	version int64
}

// wasAside are those tasks of a chunk that may have been set aside, or handed over, when it was read before, by a relay that died
// before it had moved the sink, or the place that is kept, past them. What is set aside stays so, mended or not: somebody may hand
// it over again. What is read for the first time has none.
func (l *lane) wasAside(ctx context.Context, s settled, b ledger.Batch, c chunk) (map[event]bool, error) {
	if !l.Tasks || b.Number > s.life.Newest.Number {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, l.patience)
	defer cancel()
	ids, versions := make([]domain.ID, len(c.rows)), make([]int64, len(c.rows))
	for i, row := range c.rows {
		ids[i], versions[i] = row.Aggregate, row.Version
	}
	rows, err := l.db.Query(ctx, passedOver, pgx.QueryExecModeCacheDescribe, ids, versions)
	if err != nil {
		return nil, fmt.Errorf("read what was set aside: %w", err)
	}
	found := map[event]bool{}
	var one event
	if _, err := pgx.ForEachRow(rows, []any{&one.of, &one.version}, func() error { found[one] = true; return nil }); err != nil {
		return nil, fmt.Errorf("read what was set aside: %w", err)
	}
	return found, nil
}
