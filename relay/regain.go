package relay

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/outbox"
	"github.com/tactus-dev/tactus/relay/ledger"
)

// handAgainSQL writes another event for each run that is not known to have started. If this was done before, the
// version of the lost event is no longer the run's version, and the run is left out. A run whose row is locked is left
// out as well: somebody writes to it, so it has been heard of. The age of a run counts from its firing, and not from a
// later event that handed it over again; otherwise a broker that loses its data again and again would be given
// everything that it ever lost.
const handAgainSQL = `
with lost as (
    update tactus.runs r set status = 'due', sent_at = null, redelivered = r.redelivered + 1
    from (
        select r.id, r.due_at, e.position
        from unnest((select @ids::uuid[]), (select @versions::bigint[]), (select @positions::bigint[])) e (id, version, position),
        lateral (
            select id, due_at from tactus.runs where id = e.id and redelivered + 1 = e.version
                and status in ('due', 'sent') and started_at is null and finished_at is null and not waiting
                and (expires_at is null or expires_at > clock_timestamp()) and fired_at >= @since::timestamptz
                and due_at between @first_due::timestamptz and @last_due::timestamptz
            limit 1 for no key update skip locked) r
    ) e
    where r.id = e.id and r.due_at = e.due_at and r.due_at between @first_due::timestamptz and @last_due::timestamptz
    returning r.id, r.redelivered, e.position
),
event as (
    insert into tactus.outbox (topic, aggregate_id, version, type, data, headers)
    select 'run', lost.id, lost.redelivered + 1, 'run.due', o.data, o.headers
    from lost join tactus.outbox o on o.topic = 'run' and o.position = lost.position
    order by lost.position
    returning position
)
select count(*) from event`

// regain lets a task sink continue that has less than it is known to have taken. No task up to the sink's mark is
// missing, because one script writes both the tasks and the mark. Each task behind the mark that is not known to have
// started, has not expired and is young enough gets another event, by which it is handed over once more, and counted.
// Then regain moves the sink to the last confirmed place, behind all lost tasks.
func (l *lane) regain(ctx context.Context, s agreement) error {
	var again int64
	var page lostPage
	since := s.state.Now.Add(-l.Redeliver)
	flush := func() error {
		n, err := l.handAgain(ctx, page, since)
		again, page = again+n, lostPage{}
		return err
	}
	for row, err := range l.between(ctx, s.reader, s.mark.Last, s.state.Confirmed) {
		if err != nil {
			return err
		}
		if row.At.Before(since) || !l.takes(row, s.state.Epoch) {
			continue
		}
		if page.addRun(row); page.full() {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	if err := flush(); err != nil {
		return err
	}
	l.log.Warn("the sink has lost tasks behind its mark", "sink", l.Name, "at", s.mark.Last.String(), "confirmed",
		s.state.Confirmed, "handed_over_again", again)
	return l.moveSink(ctx, s.at, Mark{s.state.Epoch, s.state.Confirmed})
}

// takes reports whether a row is for this sink.
func (l *lane) takes(row outbox.Row, epoch string) bool {
	if row.Data == nil {
		return false
	}
	m, err := l.Encode(row, epoch)
	return err == nil && m != nil
}

// lostPage is a group of lost runs that get new events by one statement.
type lostPage struct {
	ids                 []domain.ID
	versions, positions []int64
	dues                []time.Time
	size                int // bytes of their data, which the new events copy
}

func (p *lostPage) full() bool { return len(p.ids) >= chunkEntries || p.size >= chunkBytes }

func (p *lostPage) addRun(row outbox.Row) {
	p.ids, p.versions, p.positions = append(p.ids, row.Aggregate), append(p.versions, row.Version), append(p.positions,
		row.Position)
	p.dues = append(p.dues, dueOf(row))
	p.size += len(row.Data)
}

func (l *lane) handAgain(ctx context.Context, p lostPage, since time.Time) (n int64, err error) {
	if len(p.ids) == 0 {
		return 0, nil
	}
	ctx, cancel := context.WithTimeout(ctx, l.patience)
	defer cancel()
	first, last := dueBounds(p.dues)
	args := pgx.NamedArgs{
		"ids": p.ids, "versions": p.versions, "positions": p.positions, "since": since,
		"first_due": first, "last_due": last,
	}
	if err := l.db.QueryRow(ctx, handAgainSQL, pgx.QueryExecModeCacheDescribe, args).Scan(&n); err != nil {
		return 0, fmt.Errorf("hand over again: %w", err)
	}
	return n, nil
}

// between yields the rows behind the place after, up to the place last.
func (l *lane) between(ctx context.Context, r *ledger.Reader, after, last ID) func(func(outbox.Row, error) bool) {
	return func(yield func(outbox.Row, error) bool) {
		for number := after.Batch; number <= last.Batch; number++ {
			b, found, err := ledger.BatchFrom(ctx, l.db, l.Name, number)
			if err == nil && (!found || b.Number != number) {
				err = fmt.Errorf("batch %d: %w", number, errRowsGone)
			}
			if err != nil {
				yield(outbox.Row{}, err)
				return
			}
			place := int64(0)
			if number == after.Batch {
				place = max(0, after.Seq)
			}
			for row, err := range r.Rows(ctx, b, place) {
				if place++; number == last.Batch && place > last.Seq {
					return
				}
				if !yield(row, err) || err != nil {
					return
				}
			}
		}
	}
}
