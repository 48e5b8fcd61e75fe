package relay

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/outbox"
	"github.com/tactus-dev/tactus/relay/ledger"
)

// wanted says which rows of a chunk are to be published.
type wanted struct {
	batch     ledger.Batch
	all       bool
	waiting   map[domain.ID]waitingRun
	cancelled map[domain.ID]bool
}

// wanted finds out which rows of a chunk are to be published. A cancelled task is not wanted. A task that may have been
// handed over before, by a relay or because somebody asked for redelivery, is wanted only if it is not known to have
// started, and has neither expired nor become too old. The expiry of a run counts from when the run is handed over, so
// a run that is still due, and was to be handed over only once, has not expired.
func (l *lane) wanted(ctx context.Context, b ledger.Batch, c chunk) (w wanted, err error) {
	w.batch = b
	if !l.Tasks {
		w.all = true
		return w, nil
	}
	runs := c.runs()
	if len(runs.ids) == 0 {
		return w, nil
	}
	if w.cancelled, err = l.cancelled(ctx, runs); err != nil {
		return w, err
	}
	if w.all = b.Kind == ledger.NextBatch && !slices.ContainsFunc(c.rows, redelivery); !w.all {
		w.waiting, err = l.waiting(ctx, runs)
	}
	return w, err
}

func (w wanted) has(row outbox.Row) bool {
	if w.cancelled[row.Aggregate] {
		return false
	}
	if w.all || w.batch.Kind == ledger.NextBatch && !redelivery(row) {
		return true
	}
	switch run := w.waiting[row.Aggregate]; {
	case run.version != row.Version:
		return false // the run has started, or has a later event
	case w.batch.Kind == ledger.NextBatch:
		return true
	case run.status == domain.Due:
		return w.batch.Kind == ledger.AgainBatch || w.batch.Since == nil || !row.At.Before(*w.batch.Since)
	default:
		return w.batch.Kind == ledger.AgainBatch && !row.At.Before(*w.batch.Since)
	}
}

// sent reports whether the run of a row is recorded as handed over.
func (w wanted) sent(row outbox.Row) bool { return w.waiting[row.Aggregate].status == domain.Sent }

// redelivery reports whether a row is an event by which a run is handed over again.
func redelivery(row outbox.Row) bool { return row.Version > 1 }

const waitingRunsSQL = `
select r.id, r.status, r.redelivered + 1 from unnest((select @ids::uuid[])) w (id), lateral (
    select id, status, redelivered from tactus.runs
    where id = w.id and due_at between @first_due::timestamptz and @last_due::timestamptz
        and status in ('due', 'sent') and finished_at is null
        and (expires_at is null or expires_at > clock_timestamp() or status = 'due' and redelivered = 0) limit 1) r`

// waitingRun is a run that is not known to have started, with the version of its newest event.
type waitingRun struct {
	status  domain.RunStatus
	version int64
}

// waiting returns those of some runs that are not known to have started.
func (l *lane) waiting(ctx context.Context, runs givenRuns) (map[domain.ID]waitingRun, error) {
	ctx, cancel := context.WithTimeout(ctx, l.patience)
	defer cancel()
	first, last := dueBounds(runs.dues)
	rows, err := l.db.Query(ctx, waitingRunsSQL, pgx.QueryExecModeCacheDescribe,
		pgx.NamedArgs{"ids": runs.ids, "first_due": first, "last_due": last})
	if err != nil {
		return nil, fmt.Errorf("read waiting runs: %w", err)
	}
	found := map[domain.ID]waitingRun{}
	var id domain.ID
	var run waitingRun
	if _, err := pgx.ForEachRow(rows, []any{&id, &run.status, &run.version}, func() error {
		found[id] = run
		return nil
	}); err != nil {
		return nil, fmt.Errorf("read waiting runs: %w", err)
	}
	return found, nil
}
