package relay

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/postgres"
)

// confirmAtOnceSQL is confirmSQL for the usual case that no row is locked. It writes each row once, within the row's
// page and without touching an index. If it would have to wait for a lock, it gives up and changes nothing. It finds
// runs by their whole key, which their events contain; the bounds repeat the due times for the planner (see dueBounds).
//
// sent_at is when the sink had taken the run: the present time less the microseconds since then. This process' clock
// gives only the difference, so it need not be right.
//
// In this statement and others, each array is the result of a select, so that the planner cannot see its length. If it
// could, it would prefer to scan the whole table of the runs as long as this has less than fifty megabytes or no
// statistics.
const confirmAtOnceSQL = `
with lazy as materialized (
    select set_config('synchronous_commit', 'off', true), set_config('lock_timeout', '10ms', true)
),
place as (
    update tactus.relay_sinks s set confirmed_batch = @batch::bigint, confirmed_place = @place::bigint from lazy
    where s.sink = @sink and s.epoch = @epoch
        and (s.confirmed_batch, s.confirmed_place) < (@batch::bigint, @place::bigint)
)
update tactus.runs r set status = 'sent', sent_at = ` + whenTaken + `
from lazy, unnest((select @ids::uuid[]), (select @dues::timestamptz[]), (select @ages::bigint[])) w (id, due_at, age)
where r.id = w.id and r.due_at = w.due_at and r.status = 'due'
    and r.due_at >= @first_due::timestamptz and r.due_at <= @last_due::timestamptz`

// whenTaken is never before the run was recorded, even if the server's clock was set back meanwhile.
const whenTaken = `greatest(clock_timestamp() - w.age * interval '1 microsecond', r.fired_at)`

// confirmSQL finds runs by their ids, within the bounds of their due times; a due time need not be known. Each id is
// looked up by a subquery of its own, because the primary key includes the due time, so the planner does not know that
// an id is unique.
//
// The statement waits for no lock. It leaves out and returns runs whose rows are locked, and the confirmed place stays
// before the first of them: the transaction with the lock may roll back, so the lock does not show that the run has
// started. If the row of the sink is locked, the next confirmation moves the confirmed place. The statement does not
// wait until its commit is on disk. If a crash undoes the commit, the sink still has its entries, and they are
// confirmed again.
const confirmSQL = `
with lazy as materialized (select set_config('synchronous_commit', 'off', true)),
handed as materialized (
    select h.id, h.batch, h.place, h.age
    from unnest((select @ids::uuid[]), (select @batches::bigint[]), (select @places::bigint[]),
        (select @ages::bigint[])) h (id, batch, place, age)
),
sent as materialized (
    select r.id, r.due_at, h.age from lazy, handed h, lateral (
        select id, due_at from tactus.runs where id = h.id and status = 'due'
            and due_at between @first_due::timestamptz and @last_due::timestamptz
        limit 1 for no key update skip locked) r
),
held as materialized (
    select r.id, h.batch, h.place from handed h, lateral (
        select id from tactus.runs where id = h.id and status = 'due'
            and due_at between @first_due::timestamptz and @last_due::timestamptz
        limit 1) r
    where r.id not in (select id from sent)
),
upto as materialized (
    select batch, place - 1 as place from held union all select @batch::bigint, @place::bigint order by batch, place
        limit 1
),
place as (
    update tactus.relay_sinks s set confirmed_batch = upto.batch, confirmed_place = upto.place from upto, (
        select sink from tactus.relay_sinks where sink = @sink for no key update skip locked) free
    where s.sink = free.sink and s.sink = @sink and s.epoch = @epoch
        and (s.confirmed_batch, s.confirmed_place) < (upto.batch, upto.place)
),
done as (
    update tactus.runs r set status = 'sent', sent_at = ` + whenTaken + ` from sent w where r.id = w.id
        and r.due_at = w.due_at and r.due_at between @first_due::timestamptz and @last_due::timestamptz
)
select id from held`

// publishedChunk is a chunk that the sink has taken, the sink's mark behind it, when publishing it began, and when the
// sink had taken it.
type publishedChunk struct {
	chunk
	at           Mark
	began, taken time.Time
}

// mostConfirmed is how many runs of several chunks are confirmed at once. While they are, no other transaction can
// write to them.
const mostConfirmed = 2 * chunkEntries

// confirmAll confirms published chunks, in order, until the channel is closed. Chunks that have arrived during a
// confirmation are confirmed together.
func (l *lane) confirmAll(ctx context.Context, at Mark, published <-chan publishedChunk) error {
	again := time.NewTicker(lookEvery)
	defer again.Stop()
	for open := true; open; {
		var together []publishedChunk
		var p publishedChunk
		select {
		case p, open = <-published:
			for n := 0; open; {
				together, at = append(together, p), p.at
				if n += len(p.entries); n > mostConfirmed-chunkEntries || len(published) == 0 {
					break
				}
				p, open = <-published
			}
		case <-again.C:
			if len(l.locked) == 0 {
				continue
			}
		}
		if l.Tasks && (len(together) > 0 || len(l.locked) > 0) {
			if err := l.confirm(ctx, at, together); err != nil {
				return err
			}
		}
		for _, p := range together {
			l.tally.published(p.at, p.chunk, time.Since(p.began))
		}
	}
	return nil
}

// handedRun is a run that the sink has, with its due time and when the sink had taken it, if these are known, and the
// place of its message.
type handedRun struct {
	id         domain.ID
	due, taken time.Time
	at         ID
}

// age returns for how long the sink has had the run, in microseconds; 0 if that is not known.
func (r handedRun) age(now time.Time) int64 {
	if r.taken.IsZero() {
		return 0
	}
	return now.Sub(r.taken).Microseconds()
}

// confirm records that the sink has reached a mark, and that the runs of chunks were handed over, together with the
// runs that were locked at an earlier attempt. It keeps those that are locked now for the next attempt. If the relay
// dies before that, the confirmed place lies before these runs, so the next relay reads them again, and confirms those
// that the sink has.
func (l *lane) confirm(ctx context.Context, at Mark, chunks []publishedChunk) error {
	handed := l.locked
	for _, c := range chunks {
		for i, e := range c.entries {
			if e.Message != nil {
				handed = append(handed, handedRun{c.rows[i].Aggregate, c.dues[i], c.taken, e.ID})
			}
		}
		l.handedTo = c.entries[len(c.entries)-1].ID
	}
	held, err := l.confirmRuns(ctx, at.Epoch, handed, l.handedTo)
	if err == nil {
		l.locked = held
	}
	return err
}

// confirmRuns records that runs were handed over, and moves the confirmed place to last. It returns the runs that are
// locked.
func (l *lane) confirmRuns(
	ctx context.Context, epoch string, handed []handedRun, last ID,
) (held []handedRun, err error) {
	ctx, cancel := context.WithTimeout(ctx, l.patience)
	defer cancel()
	ids, dues, known := make([]domain.ID, len(handed)), make([]time.Time, len(handed)), true
	ages, now := make([]int64, len(handed)), time.Now()
	for i, run := range handed {
		ids[i], dues[i], ages[i] = run.id, run.due, run.age(now)
		known = known && !run.due.IsZero()
	}
	first, final := dueBounds(dues)
	if known {
		_, err := l.db.Exec(ctx, confirmAtOnceSQL, pgx.QueryExecModeCacheDescribe, pgx.NamedArgs{
			"ids": ids, "dues": dues, "ages": ages, "batch": last.Batch, "place": last.Seq, "sink": l.Name,
			"epoch": epoch, "first_due": first, "last_due": final,
		})
		if !postgres.LockTimedOut(err) {
			return nil, confirmError(err, last)
		}
	}
	batches, places := make([]int64, len(handed)), make([]int64, len(handed))
	where := make(map[domain.ID]handedRun, len(handed))
	for i, run := range handed {
		batches[i], places[i] = run.at.Batch, run.at.Seq
		where[run.id] = run
	}
	rows, err := l.db.Query(ctx, confirmSQL, pgx.QueryExecModeCacheDescribe, pgx.NamedArgs{
		"ids": ids, "ages": ages, "batches": batches, "places": places, "batch": last.Batch, "place": last.Seq,
		"sink": l.Name, "epoch": epoch, "first_due": first, "last_due": final,
	})
	if err != nil {
		return nil, confirmError(err, last)
	}
	var id domain.ID
	if _, err := pgx.ForEachRow(rows, []any{&id}, func() error {
		held = append(held, where[id])
		return nil
	}); err != nil {
		return nil, confirmError(err, last)
	}
	return held, nil
}

func confirmError(err error, at ID) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("confirm %s: %w", at, err)
}
