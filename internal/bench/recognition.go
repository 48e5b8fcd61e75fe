package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	goredis "github.com/redis/go-redis/v9"

	"github.com/tactus-dev/tactus/beat"
	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/domain/handover"
	"github.com/tactus-dev/tactus/internal/adopt"
	"github.com/tactus-dev/tactus/internal/redis"
	"github.com/tactus-dev/tactus/internal/wait"
	"github.com/tactus-dev/tactus/outbox"
)

// beatRecognizes measures the time from the commit of a change to its place in a beat's memory.
func beatRecognizes(ctx context.Context, l *Lab) ([]Figure, error) {
	client, err := l.Redis(ctx)
	if err != nil {
		return nil, err
	}
	away, err := redis.Connect("redis://127.0.0.1:1/0") // no server listens there
	if err != nil {
		return nil, err
	}
	figures, err := recognize(ctx, l, client, []recognition{
		{Wanted{"commit to memory, 1000 changes at 100/s, p99", Milliseconds, AtMost(50)}, func(ctx context.Context, s *scene) ([]float64, error) {
			return s.steadily(ctx, l.Size(1000), 100, s.change)
		}},
		{Wanted{"commit to memory, the second of two changes 100 ms apart, p99", Milliseconds, AtMost(50)}, func(ctx context.Context, s *scene) ([]float64, error) {
			return s.pairs(ctx, l.Size(50))
		}},
		{Wanted{"commit to memory, by an upstream's transaction at 50/s, p99", Milliseconds, AtMost(150)}, func(ctx context.Context, s *scene) ([]float64, error) {
			return s.steadily(ctx, l.Size(200), 50, s.changeUpstream)
		}},
		{Wanted{"commit to memory, by an adopted table's trigger at 50/s, p99", Milliseconds, AtMost(150)}, func(ctx context.Context, s *scene) ([]float64, error) {
			return s.steadily(ctx, l.Size(adoptedRows), 50, s.changeAdopted)
		}},
	})
	if err != nil {
		return figures, errors.Join(err, away.Close())
	}
	more, err := recognize(ctx, l, away, []recognition{
		{Wanted{"commit to memory, Redis down, p99", Milliseconds, AtMost(2000)}, func(ctx context.Context, s *scene) ([]float64, error) {
			return s.steadily(ctx, l.Size(50), 10, s.change)
		}},
	})
	return append(figures, more...), errors.Join(err, away.Close())
}

// recognition makes changes of one kind, and returns their latencies.
type recognition struct {
	wanted  Wanted
	measure func(ctx context.Context, s *scene) ([]float64, error)
}

// recognize measures several kinds of changes, with a relay and a beat that use one Redis.
func recognize(
	ctx context.Context, l *Lab, client goredis.UniversalClient, kinds []recognition,
) (figures []Figure, err error) {
	pool, drop, err := l.Database(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, drop()) }()
	s, err := startScene(ctx, pool, client, crons())
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	for _, k := range kinds {
		more, err := l.Repeat(ctx, []Wanted{k.wanted}, func(ctx context.Context) ([]float64, error) {
			all, err := k.measure(ctx, s)
			return []float64{percentile(all, 99)}, err
		})
		figures = append(figures, more...)
		if err != nil {
			return figures, err
		}
	}
	return figures, nil
}

// scene is a relay, a beat, and the schedules that are changed.
type scene struct {
	pool  *pgxpool.Pool
	store *outbox.Store
	relay *station
	beat  *running
	ids   []domain.ID
}

// sceneSchedules is the number of changes in a round: each changes another schedule, so that no two are read as one.
const sceneSchedules = 1000

func startScene(
	ctx context.Context, pool *pgxpool.Pool, client goredis.UniversalClient, definitions []domain.Definition,
) (*scene, error) {
	s := &scene{pool: pool, store: outbox.NewStore(pool, "", handover.Limits{}.Check)}
	if err := seed(ctx, pool, sceneSchedules, definitions); err != nil {
		return nil, err
	}
	if _, err := pool.Exec(ctx, "create table orders (id bigint)"); err != nil {
		return nil, err
	}
	if err := adoptTable(ctx, pool); err != nil {
		return nil, err
	}
	rows, err := pool.Query(ctx, "select id from tactus.schedules where managed_by is null")
	if err != nil {
		return nil, err
	}
	if s.ids, err = pgx.CollectRows(rows, pgx.RowTo[domain.ID]); err != nil {
		return nil, err
	}
	feed, err := redis.NewFeed(client, "", "bench", nil)
	if err != nil {
		return nil, err
	}
	if s.relay, err = startStation(ctx, pool, client); err != nil {
		return nil, err
	}
	if s.beat, err = runBeat(ctx, pool, feed); err != nil {
		s.relay.stop()
		return nil, err
	}
	err = s.beat.until(ctx, "the beat to lead", func(b beat.Stats) bool { return b.Leader && b.Resyncs > 0 })
	if err == nil {
		err = wait.For(ctx, 500*time.Millisecond) // until its first work is done
	}
	if err != nil {
		return nil, errors.Join(err, s.stop())
	}
	return s, nil
}

func (s *scene) stop() error {
	err := s.beat.stop()
	s.relay.stop()
	return err
}

// change changes the i-th schedule.
func (s *scene) change(ctx context.Context, i int) error {
	_, err := s.store.Merge(ctx, s.ids[i], 0, []byte(`{"description":"`+uuid.NewString()+`"}`))
	return err
}

// changeUpstream creates a schedule in a transaction of the caller's, beside a row of the caller's, and rings no bell.
func (s *scene) changeUpstream(ctx context.Context, i int) error {
	return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "insert into orders values ($1)", i); err != nil {
			return err
		}
		d := typical()
		d.CronExpression = "*/5 * * * *"
		_, err := outbox.Create(ctx, tx, d)
		return err
	})
}

// adoptedRows is the number of schedules in the adopted table.
const adoptedRows = 200

const makeAdopted = `
create table public.celery_beat_schedules as
select n as id, 'adopted ' || n as name, 'shop.orders.reconcile'::text as task_name, '*/5 * * * *'::text as cron_expression, true as enabled, ''::text as description
from generate_series(0, @rows::int - 1) n`

func adoptTable(ctx context.Context, pool *pgxpool.Pool) error {
	_, err := pool.Exec(ctx, makeAdopted, pgx.NamedArgs{"rows": adoptedRows})
	if err == nil {
		_, err = pool.Exec(ctx, "alter table public.celery_beat_schedules add primary key (id)")
	}
	if err != nil {
		return err
	}
	source, err := adopt.Find(ctx, pool, "public.celery_beat_schedules", adopt.CeleryBeatSchedules)
	if err != nil {
		return err
	}
	return source.Adopt(ctx, "UTC")
}

// changeAdopted writes to the adopted table, like a service that does not know of tactus.
func (s *scene) changeAdopted(ctx context.Context, i int) error {
	_, err := s.pool.Exec(ctx, "update public.celery_beat_schedules set description = $2 where id = $1", i, uuid.NewString())
	return err
}

// known returns how many changes the beat has taken into its memory.
func (s *scene) known() uint64 { return s.beat.Stats().Recognition.Count }

// steadily makes n changes of n schedules at a rate per second. The beat takes them into its memory in the order of
// their commits, or nearly so.
func (s *scene) steadily(
	ctx context.Context, n, perSecond int, change func(context.Context, int) error,
) ([]float64, error) {
	base := s.known()
	watching, stop := context.WithTimeout(ctx, patience)
	defer stop()
	seen := make(chan []time.Time, 1)
	go func() { seen <- s.watch(watching, base, n) }()
	committed, err := paced(ctx, n, perSecond, change)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(committed, time.Time.Compare)
	recognized := <-seen
	if len(recognized) < n {
		return nil, fmt.Errorf("of %d changes the beat has %d in its memory after %s", n, len(recognized), patience)
	}
	return latencies(committed, recognized), nil
}

// watch records the time of each further change in the beat's memory, until there are n.
func (s *scene) watch(ctx context.Context, base uint64, n int) (times []time.Time) {
	for len(times) < n && wait.For(ctx, 200*time.Microsecond) == nil {
		for count, now := s.known()-base, time.Now(); uint64(len(times)) < min(count, uint64(n)); {
			times = append(times, now)
		}
	}
	return times
}

// pairs changes a schedule twice, 100 ms apart, and returns the latencies of the second changes.
func (s *scene) pairs(ctx context.Context, n int) (all []float64, err error) {
	for i := range n {
		if err := s.change(ctx, i); err != nil {
			return nil, err
		}
		if err := wait.For(ctx, 100*time.Millisecond); err != nil {
			return nil, err
		}
		base := s.known()
		if err := s.change(ctx, i); err != nil {
			return nil, err
		}
		committed := time.Now()
		if err := s.beat.until(ctx, "the second change", func(b beat.Stats) bool { return b.Recognition.Count > base }); err != nil {
			return nil, err
		}
		all = append(all, latencies([]time.Time{committed}, []time.Time{time.Now()})...)
	}
	return all, nil
}
