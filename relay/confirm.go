package relay

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/domain"
)

// confirm waits for nobody: a run that somebody else writes to has got beyond being sent. Its commit is not awaited: when
// a crash undoes it, the sink still has what it has, and it is confirmed anew.
const confirm = `
with lazy as materialized (select set_config('synchronous_commit', 'off', true)),
sent as materialized (
    select id, due_at from tactus.runs, lazy where id = any(@ids::uuid[]) and status = 'due' order by id for no key update of runs skip locked
),
place as (
    update tactus.relay_sinks set confirmed_batch = @batch, confirmed_place = @place
    where sink = @sink and epoch = @epoch and (confirmed_batch, confirmed_place) < (@batch::bigint, @place::bigint)
)
update tactus.runs r set status = 'sent', sent_at = clock_timestamp() from sent where r.id = sent.id and r.due_at = sent.due_at`

// confirm keeps that the sink has come to a mark, and that the runs of a chunk were handed over.
func (l *lane) confirm(ctx context.Context, at Mark, c chunk) error {
	ctx, cancel := context.WithTimeout(ctx, l.patience)
	defer cancel()
	var ids []domain.ID
	for i, e := range c.entries {
		if e.Message != nil {
			ids = append(ids, c.rows[i].Aggregate)
		}
	}
	last := c.entries[len(c.entries)-1].ID
	_, err := l.db.Exec(ctx, confirm, pgx.QueryExecModeCacheDescribe, pgx.NamedArgs{
		"ids": ids, "batch": last.Batch, "place": last.Seq, "sink": l.Name, "epoch": at.Epoch,
	})
	if err != nil {
		return fmt.Errorf("confirm %s: %w", last, err)
	}
	return nil
}
