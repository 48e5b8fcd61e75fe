package relay

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/postgres"
	"github.com/tactus-dev/tactus/internal/sqlexpr"
	"github.com/tactus-dev/tactus/outbox"
	"github.com/tactus-dev/tactus/relay/ledger"
)

const setAsideSQL = `
with given as materialized (
    select * from unnest((select @positions::bigint[]), (select @aggregates::uuid[]), (select @references::text[]),
        (select @reasons::text[])) g (position, aggregate, reference, reason)
),
aside as (
    insert ` + sqlexpr.IntoLetters + ` (source, reference, reason, data)
    select @source, g.reference, g.reason, o.data::text
    from given g, lateral (select data from tactus.outbox where topic = @topic and position = g.position offset 0) o
    order by g.position
    on conflict (source, reference) do nothing
),
open as materialized (
    select r.id, r.due_at, g.reason from given g,
        lateral (select id, due_at, status, finished_at from tactus.runs where id = g.aggregate
            and due_at between @first_due::timestamptz and @last_due::timestamptz limit 1) r
    where @topic = 'run' and r.status in ('due', 'sent') and r.finished_at is null
),
free as materialized (
    select r.* from open, lateral (select id, due_at from tactus.runs where id = open.id and due_at = open.due_at
        and status in ('due', 'sent') and finished_at is null
        and due_at between @first_due::timestamptz and @last_due::timestamptz for no key update skip locked) r
),
ended as (
    update tactus.runs r set status = 'failed', error = 'it could not be handed over: ' || open.reason, finished_at = clock_timestamp()
    from free join open using (id, due_at) where r.id = free.id and r.due_at = free.due_at
        and r.due_at between @first_due::timestamptz and @last_due::timestamptz
    returning r as happened
),` + sqlexpr.Tell + `ended` + sqlexpr.Told + `
select (select count(*) from open) > (select count(*) from free)`

// aside is a row that cannot be delivered, with the reason.
type aside struct {
	row    outbox.Row
	due    time.Time // the due time of its run; zero if it is not known
	reason string
}

// setAside stores rows that cannot be delivered as dead letters, each with its reason, and ends their runs, so that all
// other rows go on. There may be thousands of such rows at once, so one statement stores all of them, and the log gets
// one line for each reason, up to a bound. Runs whose rows are locked are ended later (endLater).
func (l *lane) setAside(ctx context.Context, all []aside) error {
	if len(all) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, l.patience)
	defer cancel()
	var positions []int64
	var aggregates []domain.ID
	var references, reasons []string
	var dues []time.Time
	for _, a := range all {
		dues = append(dues, a.due)
		positions, aggregates = append(positions, a.row.Position), append(aggregates, a.row.Aggregate)
		references, reasons = append(references, reference(a.row)), append(reasons, shortened(a.reason))
	}
	var locked bool
	first, last := dueBounds(dues)
	err := l.beside.Do(ctx, setAsideSQL, func(sql string) error {
		return l.db.QueryRow(ctx, sql, pgx.QueryExecModeCacheDescribe, pgx.NamedArgs{
			"source": l.Name, "topic": l.Topic, "positions": positions, "aggregates": aggregates,
			"references": references, "reasons": reasons, "first_due": first, "last_due": last,
		}).Scan(&locked)
	})
	if err != nil {
		return fmt.Errorf("set %s aside: %w", references[0], err)
	}
	if locked {
		l.ending.ask()
	}
	l.tally.aside(len(all))
	l.tellAside(references, reasons)
	return nil
}

// mostReasons is how many reasons get a line in the log when many rows are set aside at once. tactus.deadletters has
// all.
const mostReasons = 10

func (l *lane) tellAside(references, reasons []string) {
	many := map[string]int{}
	for _, reason := range reasons {
		many[reason]++
	}
	told, rows := 0, 0
	for i, reason := range reasons {
		switch n := many[reason]; {
		case n == 0: // logged already
			continue
		case told == mostReasons:
			l.log.Error("set aside", "sink", l.Name, "rows", len(reasons)-rows,
				"reason", "others: tactus deadletter lists them")
			return
		case n == 1:
			l.log.Error("set aside", "sink", l.Name, "event_id", references[i], "reason", reason)
		default:
			l.log.Error("set aside", "sink", l.Name, "event_id", references[i], "reason", reason, "likewise", n-1)
		}
		told, rows = told+1, rows+many[reason]
		delete(many, reason)
	}
}

// longestReason is how many bytes of a reason are kept.
const longestReason = 4096

// shortened returns the part of a reason that is kept. Bytes that PostgreSQL cannot store are removed, since a reason
// may quote a user's text.
func shortened(reason string) string {
	return postgres.Storable(reason[:min(len(reason), longestReason)])
}

// reference returns the name of a row among the dead letters of a sink.
func reference(row outbox.Row) string { return fmt.Sprintf("%s/%d", row.Aggregate, row.Version) }

// passedOverSQL selects events by which their runs are not to be handed over: the run has started or was set aside, or
// it has a later event because somebody has put it back.
const passedOverSQL = `
select e.id, e.version from unnest((select @ids::uuid[]), (select @versions::bigint[])) e (id, version),
    lateral (
        select status, redelivered from tactus.runs
        where id = e.id and due_at between @first_due::timestamptz and @last_due::timestamptz limit 1) r
where r.redelivered + 1 <> e.version or r.status in ('started', 'retrying', 'succeeded', 'failed')` + sqlexpr.OrAside

// event is an event of a run.
type event struct {
	of      domain.ID
	version int64
}

// wasAside returns the tasks of a chunk that an earlier relay has set aside or handed over, and died before it had
// moved the sink or the confirmed place past them. A task that was set aside stays so even if it could be delivered by
// now, because somebody may put it back, and it would be handed over twice. A chunk that is read for the first time has
// no such tasks, and is not looked up.
func (l *lane) wasAside(ctx context.Context, s agreement, b ledger.Batch, c chunk) (map[event]bool, error) {
	if !l.Tasks || b.Number > s.state.Newest.Number {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, l.patience)
	defer cancel()
	runs, found := c.runs(), map[event]bool{}
	if len(runs.ids) == 0 {
		return nil, nil
	}
	first, last := dueBounds(runs.dues)
	err := l.beside.Do(ctx, passedOverSQL, func(sql string) error {
		rows, err := l.db.Query(ctx, sql, pgx.QueryExecModeCacheDescribe, pgx.NamedArgs{
			"ids": runs.ids, "versions": runs.versions, "source": l.Name, "first_due": first, "last_due": last,
		})
		if err != nil {
			return err
		}
		var one event
		_, err = pgx.ForEachRow(rows, []any{&one.of, &one.version}, func() error {
			found[one] = true
			return nil
		})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read what was set aside: %w", err)
	}
	return found, nil
}
