package bench

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tactus-dev/tactus/beat"
	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/wait"
)

func beatSection(ctx context.Context, l *Lab) ([]Figure, error) {
	return parts(ctx, l, beatRecognizes, beatLoads, beatFires)
}

// running is a beat that runs in this process.
type running struct {
	*beat.Beat
	cancel context.CancelFunc
	done   chan error
}

func runBeat(ctx context.Context, pool *pgxpool.Pool, feed beat.Feed) (*running, error) {
	b, err := beat.New(pool, feed, beat.Config{Name: "bench"})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	r := &running{b, cancel, make(chan error, 1)}
	go func() { r.done <- b.Run(ctx) }()
	return r, nil
}

func (r *running) stop() error {
	r.cancel()
	return <-r.done
}

// patience is how long anything may take before the bench gives up.
const patience = 5 * time.Minute

// until waits until a beat's statistics meet a condition.
func (r *running) until(ctx context.Context, what string, reached func(beat.Stats) bool) error {
	for deadline := time.Now().Add(patience); ; {
		if reached(r.Stats()) {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("waited %s for %s: %+v", patience, what, r.Stats())
		}
		if err := wait.For(ctx, time.Millisecond); err != nil {
			return err
		}
	}
}

// beatLoads measures how long a beat takes to load a million schedules, and how much heap they take.
func beatLoads(ctx context.Context, l *Lab) (figures []Figure, err error) {
	pool, drop, err := l.Database(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, drop()) }()
	n := l.Size(1_000_000)
	l.Say(fmt.Sprintf("making %d schedules", n))
	if err := seed(ctx, pool, n, crons()); err != nil {
		return nil, err
	}
	if _, err := pool.Exec(ctx, "vacuum analyze tactus.schedules"); err != nil {
		return nil, err
	}
	wanted := []Wanted{
		{fmt.Sprintf("load of %d schedules", n), Seconds, Goal{}},
		{"heap per schedule", Bytes, AtMost(100)},
	}
	return l.Repeat(ctx, wanted, func(ctx context.Context) ([]float64, error) { return loadOnce(ctx, pool, n) })
}

func loadOnce(ctx context.Context, pool *pgxpool.Pool, n int) ([]float64, error) {
	start := time.Now()
	b, err := runBeat(ctx, pool, nil)
	if err != nil {
		return nil, err
	}
	err = b.until(ctx, "the load", func(s beat.Stats) bool { return s.Loaded && s.Schedules == n })
	took := time.Since(start)
	if err := errors.Join(err, b.stop()); err != nil {
		return nil, err
	}
	with := heap()
	runtime.KeepAlive(b)
	b = nil
	return []float64{took.Seconds(), float64(with-heap()) / float64(n)}, nil
}

// heap returns the bytes of heap in use after a garbage collection.
func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // frees what the first one has finalized
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// crons returns 1,440 triggers, one for each minute of the day, in 3 zones.
func crons() (definitions []domain.Definition) {
	for i := range 24 * 60 {
		d := typical()
		d.CronExpression, d.Timezone = fmt.Sprintf("%d %d * * *", i%60, i/60), []string{"UTC", "Asia/Tokyo", "America/New_York"}[i%3]
		definitions = append(definitions, d)
	}
	return definitions
}

// beatFires measures the time from the second in which 100,000 schedules are due to the commit of the last of their
// runs.
func beatFires(ctx context.Context, l *Lab) (figures []Figure, err error) {
	n := l.Size(100_000)
	wanted := []Wanted{{fmt.Sprintf("%d due in one second, to the last commit", n), Seconds, Goal{}}}
	return l.Repeat(ctx, wanted, func(ctx context.Context) ([]float64, error) { return fireOnce(ctx, l, n) })
}

func fireOnce(ctx context.Context, l *Lab, n int) (values []float64, err error) {
	pool, drop, err := l.Database(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, drop()) }()
	lead := 2*time.Second + time.Duration(n)*50*time.Microsecond // to create and to load them
	due := time.Now().Add(lead).Truncate(time.Second).Add(time.Second)
	d := typical()
	d.IntervalSeconds, d.IntervalAnchor = 86_400, due.UTC().Format(time.RFC3339Nano)
	if err := seed(ctx, pool, n, []domain.Definition{d}); err != nil {
		return nil, err
	}
	b, err := runBeat(ctx, pool, nil)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, b.stop()) }()
	if err := b.until(ctx, "the load", func(s beat.Stats) bool { return s.Leader && s.Schedules == n }); err != nil {
		return nil, err
	}
	if time.Now().After(due) {
		return nil, fmt.Errorf("loading %d schedules took until after they were due", n)
	}
	if err := b.until(ctx, "the runs", func(s beat.Stats) bool { return s.Fired == int64(n) }); err != nil {
		return nil, err
	}
	return []float64{time.Since(due).Seconds()}, nil
}
