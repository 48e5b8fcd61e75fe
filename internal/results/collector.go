package results

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	goredis "github.com/redis/go-redis/v9"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/celery"
	"github.com/tactus-dev/tactus/internal/redis"
	"github.com/tactus-dev/tactus/internal/room"
	"github.com/tactus-dev/tactus/internal/slowclock"
	"github.com/tactus-dev/tactus/internal/tablelocks"
	"github.com/tactus-dev/tactus/internal/wait"
)

// Config configures a Collector. The zero value uses the defaults.
type Config struct {
	KeyPrefix   string // prefix of the backend's keys (global_keyprefix of its transport options)
	EventPrefix string // prefix of the event channels (default /0., the broker's database)
	// after which a silent run becomes unknown (default a day, which is how long Celery keeps results)
	Timeout time.Duration
	Longest time.Duration // the longest that a run without a time limit takes (default an hour)
	Every   time.Duration // time between two sweeps (default 10 seconds)
	Traces  Traces        // records the ends of runs in traces; nil for none
}

func (c Config) withDefaults() Config {
	if c.EventPrefix == "" {
		c.EventPrefix = "/0."
	}
	for _, d := range []struct {
		value     *time.Duration
		otherwise time.Duration
	}{{&c.Timeout, 24 * time.Hour}, {&c.Longest, time.Hour}, {&c.Every, 10 * time.Second}} {
		if *d.value == 0 {
			*d.value = d.otherwise
		}
	}
	return c
}

// Collector records what became of the runs that were handed over to Celery workers.
type Collector struct {
	pool       *pgxpool.Pool
	backend    goredis.UniversalClient
	broker     goredis.UniversalClient
	log        *slog.Logger
	beside     *tablelocks.Beside
	cfg        Config
	metrics    metrics
	inbox      chan heard
	waiting    atomic.Int64  // bytes of messages that are in the inbox, or were taken from it and not decoded yet
	gap        chan struct{} // signals that something may have been missed
	ended      chan struct{} // signals that a run has ended
	hearing    atomic.Bool   // whether the collector is subscribed to results
	complained sync.Once
	toldUnread sync.Once
	running    running    // used by recordHeard only
	refused    refused    // used by Release only
	counts     countsLock // used by Release only
	clock      slowclock.Clock
	believed   time.Time // the time at the last look; used by Release only
	room       room.Room // for large tasks
	anyRoom    bool      // there was room at the last look; used by Release only, like the next two
	largeFirst bool      // the last release began with large tasks
	more       bool      // the last release left runs for the next one
}

// New returns a collector on a pool and clients that the caller closes. Without a backend (nil) it reads no keys;
// without a broker it hears no events.
func New(
	pool *pgxpool.Pool, backend, broker goredis.UniversalClient, log *slog.Logger, cfg Config,
) (*Collector, error) {
	cfg = cfg.withDefaults()
	if cfg.Timeout < 0 || cfg.Longest < 0 || cfg.Every < 0 {
		return nil, errors.New("new collector: a duration is negative")
	}
	return &Collector{
		pool: pool, backend: backend, broker: broker, log: log, cfg: cfg, metrics: newMetrics(),
		beside: tablelocks.NewBeside(pool, log),
		inbox:  make(chan heard, inboxSize), gap: make(chan struct{}, 1), ended: make(chan struct{}, 1),
		running: newRunning(), refused: refused{}, counts: countsLock{log: log},
	}, nil
}

const (
	inboxSize   = 4096
	mostWaiting = 32 << 20              // bytes of all messages that wait to be recorded
	batchSize   = 500                   // the most payloads that are recorded at a time
	gathering   = 20 * time.Millisecond // how long to wait for more payloads
)

// Run collects until ctx ends.
func (c *Collector) Run(ctx context.Context) error {
	var all sync.WaitGroup
	if c.backend != nil {
		results := channels{what: "results", pattern: redis.Literal(c.cfg.KeyPrefix) + celery.ResultPrefix + "*"}
		all.Go(func() { c.listen(ctx, c.backend, results) })
	}
	if c.broker != nil {
		events := channels{what: "events", pattern: redis.Literal(c.cfg.EventPrefix) + "celeryev*", events: true}
		all.Go(func() { c.listen(ctx, c.broker, events) })
	}
	all.Go(func() { c.sweepAll(ctx) })
	all.Go(func() { c.recordHeard(ctx) })
	all.Go(func() { c.releaseAll(ctx) })
	all.Wait()
	return nil
}

// sweepAll sweeps at intervals until ctx ends, and sweeps over all open runs after each gap.
func (c *Collector) sweepAll(ctx context.Context) {
	out := outage{log: c.log, what: "ask for results"}
	for n := uint64(0); ctx.Err() == nil; {
		began := time.Now()
		if err := c.Sweep(ctx, oldest(n)); err != nil {
			out.wait(ctx, err)
			continue // repeat this sweep: it may have been the one over all runs
		}
		out.over()
		n++
		select {
		case <-ctx.Done():
		case <-time.After(c.cfg.Every):
		case <-c.gap:
			n = 0
			_ = wait.For(ctx, time.Until(began.Add(rest)))
		}
	}
}

// rest is the least time between the beginnings of two sweeps over all runs, however many gaps there are.
const rest = time.Second

// recordHeard records what was heard, in batches. While recording fails, it keeps the batch and tries again.
func (c *Collector) recordHeard(ctx context.Context) {
	out := outage{log: c.log, what: "record results"}
	held := held{log: c.log}
	for {
		batch := c.gather(ctx, held.retryAt())
		if batch == nil {
			return
		}
		answers := held.then(c.read(batch))
		for {
			locked, err := c.recordAll(ctx, answers)
			if err == nil {
				out.over()
				if !held.keep(answers, locked) {
					c.lookBack()
				}
				break
			}
			if out.wait(ctx, err); ctx.Err() != nil {
				return
			}
		}
	}
}

// gather waits until something is heard, and then a little for more. It also returns, with an empty batch, when again
// fires, and with nil when ctx ends.
func (c *Collector) gather(ctx context.Context, again <-chan time.Time) (batch []heard) {
	select {
	case <-ctx.Done():
		return nil
	case <-again:
		return []heard{}
	case h := <-c.inbox:
		batch = append(batch, h)
	}
	for enough := time.After(gathering); len(batch) < batchSize; {
		select {
		case h := <-c.inbox:
			batch = append(batch, h)
		case <-enough:
			return batch
		case <-ctx.Done():
			return batch
		}
	}
	return batch
}

// recordAll records answers. For each run that has ended according to an event or an idle worker, it reads the key
// first, which holds the result itself. If the backend does not answer, recordAll records the event alone.
func (c *Collector) recordAll(ctx context.Context, g gathered) (locked []domain.ID, err error) {
	var ended []domain.ID
	for _, a := range g.all() {
		if a.final && (a.shown || a.reason != "") {
			ended = append(ended, a.run)
		}
	}
	results, _, err := c.ask(ctx, ended)
	if err == nil {
		for _, a := range results {
			g.combine(a)
		}
	}
	return c.write(ctx, g.all())
}
