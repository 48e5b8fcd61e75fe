package relay

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/outbox"
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
	reference := fmt.Sprintf("%s/%d", row.Aggregate, row.Version)
	_, err := l.db.Exec(ctx, setAside, pgx.NamedArgs{
		"source": l.Name, "reference": reference, "reason": reason, "topic": l.Topic, "position": row.Position, "aggregate": row.Aggregate,
	})
	if err != nil {
		return fmt.Errorf("set %s aside: %w", reference, err)
	}
	l.tally.aside()
	l.log.Error("set aside", "sink", l.Name, "event_id", reference, "reason", reason)
	return nil
}
