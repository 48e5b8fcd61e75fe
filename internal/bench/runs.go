package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	goredis "github.com/redis/go-redis/v9"

	"github.com/tactus-dev/tactus/beat"
	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/wait"
)

// runsSection measures the way of a run: from its due time to a list of Celery.
func runsSection(ctx context.Context, l *Lab) ([]Figure, error) {
	return parts(ctx, l, fullLoad, beyondPeak, afterOutage, punctuality)
}

// loaded is a database with schedules of one second, with a beat that fires them, and perhaps a relay that hands over
// their runs.
type loaded struct {
	pool   *pgxpool.Pool
	client goredis.UniversalClient
	beat   *running
	close  []func() error
}

// load starts a beat, and a relay when the runs are to be handed over, on n schedules of one second.
func (l *Lab) load(ctx context.Context, n int, handedOver bool) (_ *loaded, err error) {
	on := &loaded{}
	defer func() {
		if err != nil {
			err = errors.Join(err, on.stop())
		}
	}()
	pool, drop, err := l.Database(ctx)
	if err != nil {
		return nil, err
	}
	on.pool, on.close = pool, append(on.close, drop)
	if on.client, err = l.Redis(ctx); err != nil {
		return nil, err
	}
	if err := seed(ctx, pool, n, everySecond()); err != nil {
		return nil, err
	}
	if handedOver {
		s, err := startStation(ctx, pool, on.client)
		if err != nil {
			return nil, err
		}
		on.close = append(on.close, func() error { s.stop(); return nil })
	}
	if on.beat, err = runBeat(ctx, pool, nil); err != nil {
		return nil, err
	}
	on.close = append(on.close, on.beat.stop)
	return on, on.beat.until(ctx, "the load", func(s beat.Stats) bool { return s.Leader && s.Schedules == n })
}

// stop ends what load has started, the last first.
func (on *loaded) stop() (err error) {
	for i := len(on.close) - 1; i >= 0; i-- {
		err = errors.Join(err, on.close[i]())
	}
	return err
}

// everySecond returns definitions that are due each second, spread over it.
func everySecond() (definitions []domain.Definition) {
	const parts = 100
	begin := time.Now().UTC().Truncate(time.Hour)
	for i := range parts {
		d := typical()
		d.IntervalSeconds, d.IntervalAnchor = 1, begin.Add(time.Duration(i)*time.Second/parts).Format(time.RFC3339Nano)
		definitions = append(definitions, d)
	}
	return definitions
}

// window returns for how long a load is measured.
func (l *Lab) window() time.Duration {
	if l.cfg.Quick {
		return time.Second
	}
	return 10 * time.Second
}

// warmUp is how long a load runs before it is measured.
const warmUp = 2 * time.Second

// tasks returns how many tasks are in the list of typical schedules.
func (on *loaded) tasks(ctx context.Context) (int64, error) {
	return on.client.LLen(ctx, typical().Queue).Result()
}

// over measures by how much something grows in a second of the window.
func (l *Lab) over(ctx context.Context, count func(ctx context.Context) (int64, error)) (perSecond float64, err error) {
	if err := wait.For(ctx, warmUp); err != nil {
		return 0, err
	}
	before, err := count(ctx)
	if err != nil {
		return 0, err
	}
	start := time.Now()
	if err := wait.For(ctx, l.window()); err != nil {
		return 0, err
	}
	after, err := count(ctx)
	return float64(after-before) / time.Since(start).Seconds(), err
}

// handsOver measures the tasks a second that reach the list while n schedules are due each second.
func (l *Lab) handsOver(ctx context.Context, n int) (rate float64, err error) {
	on, err := l.load(ctx, n, true)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, on.stop()) }()
	return l.over(ctx, on.tasks)
}

// records measures the runs a second that are recorded, with their events, while n schedules are due each second and
// nothing hands them over.
func (l *Lab) records(ctx context.Context, n int) (rate float64, err error) {
	on, err := l.load(ctx, n, false)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, on.stop()) }()
	return l.over(ctx, func(context.Context) (int64, error) { return on.beat.Stats().Fired, nil })
}

// dueEachSecond is more than two processors can hand over.
const dueEachSecond = 30_000

// fullLoad compares handing over with recording alone, and measures what a run takes in PostgreSQL.
func fullLoad(ctx context.Context, l *Lab) ([]Figure, error) {
	n := l.Size(dueEachSecond)
	name := fmt.Sprintf("tasks handed over while %d are due each second, to recording alone", n)
	f, err := l.Compare(ctx, name, AtLeast(0.6),
		func(ctx context.Context) (float64, error) { return l.handsOver(ctx, n) },
		func(ctx context.Context) (float64, error) { return l.records(ctx, n) })
	if err != nil {
		return nil, err
	}
	f.Note = "the peer hands nothing over"
	wanted := []Wanted{
		{"WAL of a run that was handed over", Bytes, Goal{}},
		{"tables and indexes of a run and its event", Bytes, Goal{}},
	}
	sizes, err := l.Repeat(ctx, wanted, func(ctx context.Context) ([]float64, error) { return l.sizes(ctx, n) })
	return append([]Figure{f}, sizes...), err
}

const bytesWritten = `
select (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::bigint, (
    select sum(pg_total_relation_size(c.oid))::bigint from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where n.nspname = 'tactus' and c.relkind = 'r' and (c.relname like 'runs%' or c.relname like 'outbox_run%'))`

// sizes measures what the runs of one backlog take in the log of PostgreSQL and in its tables.
func (l *Lab) sizes(ctx context.Context, n int) (values []float64, err error) {
	b, err := l.backlogOf(ctx, n)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, b.stop()) }()
	if _, err := b.handOver(ctx); err != nil {
		return nil, err
	}
	var wal, size int64
	if err := b.pool.QueryRow(ctx, bytesWritten).Scan(&wal, &size); err != nil {
		return nil, fmt.Errorf("measure what was written: %w", err)
	}
	return []float64{float64(wal-b.wal) / float64(n), float64(size-b.size) / float64(n)}, nil
}

// beyondPeak compares the rate while three times the peak is due with the peak.
func beyondPeak(ctx context.Context, l *Lab) ([]Figure, error) {
	peak, err := l.handsOver(ctx, l.Size(dueEachSecond))
	if err != nil {
		return nil, err
	}
	n := max(1, int(peak))
	name := fmt.Sprintf("tasks handed over while three times the peak (%d) is due each second, to the peak", n)
	f, err := l.Compare(ctx, name, AtLeast(0.9),
		func(ctx context.Context) (float64, error) { return l.handsOver(ctx, 3*n) },
		func(ctx context.Context) (float64, error) { return l.handsOver(ctx, n) })
	return []Figure{f}, err
}
