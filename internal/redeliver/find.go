package redeliver

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	goredis "github.com/redis/go-redis/v9"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/celery"
	"github.com/tactus-dev/tactus/internal/cursor"
	"github.com/tactus-dev/tactus/outbox"
	"github.com/tactus-dev/tactus/relay/ledger"
)

// Config says which runs may count as lost.
type Config struct {
	Sink      string        // the name of the sink for lists in relay_batches
	Celery    celery.Config // how the workers' queues are named
	OlderThan time.Duration // only runs handed over longer ago: a younger one may be on its way
	NewerThan time.Duration // only runs fired more recently: an older one is no longer wanted
	Schedule  domain.ID     // only runs of this schedule, unless zero
	Untracked bool          // also tasks that ignore their result
}

// Lost is a run that the broker has no message of.
type Lost struct {
	Run, Schedule domain.ID
	Name          string // of the schedule
	DueAt         time.Time
	Queue         string
}

// Unread is a queue that the broker refused to read: whether its runs are lost is unknown.
type Unread struct {
	Queue string
	Runs  int64 // runs handed over to it of which nothing was heard
	Err   error
}

// candidate is a run that was handed over and of which nothing was heard.
type candidate struct {
	Data json.RawMessage // the data of its first event
}

// candidates joins runs with their first event, which has the task. The batches bound the positions that have to be
// scanned. A run whose status is still due counts when its newest event is behind the sink's place: then the relay has
// passed it over.
const candidates = `
with since as (
    select coalesce(min(first_position), 0) as position from tactus.relay_batches
    where sink = $1 and committed_at >= clock_timestamp() - $2::interval - interval '1 hour'
)
select e.data
from tactus.runs r
join tactus.outbox e on e.topic = 'run' and e.aggregate_id = r.id and e.version = 1
    and e.position >= (select position from since)
join tactus.outbox c on c.topic = 'run' and c.aggregate_id = r.id and c.version = r.redelivered + 1
    and c.position >= (select position from since)
where r.status in ('due', 'sent') and r.finished_at is null and r.reason is null and not r.waiting
    and (r.expires_at is null or r.expires_at > clock_timestamp())
    and r.fired_at > clock_timestamp() - $2::interval
    and coalesce(r.sent_at, r.fired_at) <= clock_timestamp() - $3::interval
    and ($4::text is null or r.schedule_id = $4::text::uuid)
    and (r.status = 'sent' or pg_visible_in_snapshot(c.xid, $5::pg_snapshot)
        or c.position <= $6 and (c.xid <> all (array(select pg_snapshot_xip($7::pg_snapshot))) or c.position <@ any ($8::text::int8range[])))
order by r.due_at, r.id`

// Find calls tell with pages of lost runs. It returns how many runs it has checked, and the queues that it could not
// read.
func Find(ctx context.Context, pool *pgxpool.Pool, broker goredis.UniversalClient, config Config, tell func([]Lost) error) (
	open int64, unread []Unread, err error,
) {
	had, life, err := config.confirmed(ctx, pool)
	if err != nil {
		return 0, nil, err
	}
	var schedule *string
	if !config.Schedule.IsZero() {
		text := config.Schedule.String()
		schedule = &text
	}
	b := newBroker(broker, config.Celery)
	err = pgx.BeginTxFunc(ctx, pool, pgx.TxOptions{AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, cursor.Unhurried); err != nil {
			return err
		}
		args := []any{config.Sink, config.NewerThan, config.OlderThan, schedule, had, life.Floor, life.Late, life.Seen}
		for page, err := range cursor.Pages[candidate](ctx, tx, "candidates", candidates, args...) {
			if err != nil {
				return err
			}
			runs := config.onLists(page)
			open += int64(len(runs))
			lost, err := b.lost(ctx, runs)
			if err == nil && len(lost) > 0 {
				err = tell(lost)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return open, b.skipped(), fmt.Errorf("look for lost runs: %w", err)
	}
	return open, b.skipped(), nil
}

// onLists returns the runs of a page that went to Celery workers, and of which workers report something. It decodes
// them here, because PostgreSQL cannot decode every JSON value that an event may hold. Runs that cannot be decoded are
// left to the relay, which sets them aside.
func (c Config) onLists(page []candidate) []domain.DueRun {
	runs := make([]domain.DueRun, 0, len(page))
	for _, one := range page {
		var run domain.DueRun
		if json.Unmarshal(one.Data, &run) == nil && run.Stream == "" && (c.Untracked || !run.IgnoreResult) {
			runs = append(runs, run)
		}
	}
	return runs
}

// confirmed returns the snapshot up to which the sink is known to have received events, and the ledger's entry of the
// sink.
func (c Config) confirmed(ctx context.Context, pool *pgxpool.Pool) (outbox.Snapshot, ledger.State, error) {
	life, err := ledger.ReadState(ctx, pool, c.Sink)
	if err != nil {
		return "", life, err
	}
	b, found, err := ledger.BatchUpTo(ctx, pool, c.Sink, life.Confirmed.Batch)
	if err != nil || !found {
		return outbox.Nothing, life, err
	}
	return b.After(life.Confirmed), life, nil
}
