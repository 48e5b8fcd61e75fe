package results

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/celery"
)

// Config is how a Collector works. Its zero value is complete.
type Config struct {
	KeyPrefix   string        // of the backend's keys (global_keyprefix of its transport options)
	EventPrefix string        // of the channels of events; /0. (the broker's database) unless set
	Timeout     time.Duration // after which a silent run is unknown; a day unless set, which is how long Celery keeps results
	Longest     time.Duration // what a run without a time limit takes at most; an hour unless set
	Every       time.Duration // between two sweeps; 10 seconds unless set
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

// Collector follows the runs that were handed over to Celery workers.
type Collector struct {
	pool       *pgxpool.Pool
	backend    redis.UniversalClient
	broker     redis.UniversalClient
	log        *slog.Logger
	cfg        Config
	metrics    metrics
	inbox      chan heard
	gap        chan struct{} // something may have been missed
	ended      chan struct{} // a run has
	complained sync.Once
	running    running // of what was heard; hearEach's alone
}

// New returns a collector over a pool and clients that it is lent. Without a backend (nil) no keys are asked for, without
// a broker no events are heard.
func New(pool *pgxpool.Pool, backend, broker redis.UniversalClient, log *slog.Logger, cfg Config) (*Collector, error) {
	cfg = cfg.withDefaults()
	if cfg.Timeout < 0 || cfg.Longest < 0 || cfg.Every < 0 {
		return nil, errors.New("new collector: a duration is negative")
	}
	return &Collector{
		pool: pool, backend: backend, broker: broker, log: log, cfg: cfg, metrics: newMetrics(),
		inbox: make(chan heard, inboxSize), gap: make(chan struct{}, 1), ended: make(chan struct{}, 1),
		running: running{},
	}, nil
}

const (
	inboxSize = 4096
	batchSize = 500                   // payloads that are read at a time
	gathering = 20 * time.Millisecond // how long more are waited for
)

// Run collects until ctx ends.
func (c *Collector) Run(ctx context.Context) error {
	var all sync.WaitGroup
	if c.backend != nil {
		all.Go(func() { c.listen(ctx, c.backend, glob.Replace(c.cfg.KeyPrefix)+celery.ResultPrefix+"*", false) })
	}
	if c.broker != nil {
		all.Go(func() { c.listen(ctx, c.broker, glob.Replace(c.cfg.EventPrefix)+"celeryev*", true) })
	}
	all.Go(func() { c.sweepAll(ctx) })
	all.Go(func() { c.hearEach(ctx) })
	all.Go(func() { c.releaseAll(ctx) })
	all.Wait()
	return nil
}

// glob escapes what has a meaning in a pattern.
var glob = strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`)

// sweepAll sweeps now and then, over everything after each gap.
func (c *Collector) sweepAll(ctx context.Context) {
	out := outage{log: c.log, what: "ask for results"}
	for n := uint64(0); ctx.Err() == nil; {
		began := time.Now()
		if err := c.Sweep(ctx, oldest(n)); err != nil {
			out.wait(ctx, err)
			continue // this one again: it may have been the first
		}
		out.over()
		n++
		select {
		case <-ctx.Done():
		case <-time.After(c.cfg.Every):
		case <-c.gap:
			n = 0
			pause(ctx, time.Until(began.Add(rest)))
		}
	}
}

// rest is between the beginnings of two sweeps over everything, however many gaps there are.
const rest = time.Second

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// hearEach records what is heard, in batches; while that fails the batch in hand is kept.
func (c *Collector) hearEach(ctx context.Context) {
	out := outage{log: c.log, what: "record results"}
	held := held{log: c.log}
	for {
		batch := c.gather(ctx, held.again())
		if batch == nil {
			return
		}
		answers := held.then(c.read(batch))
		for {
			locked, err := c.take(ctx, answers)
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

// gather waits for something to be heard, and a little for more, or until it is time to try again what is held; nil when ctx
// has ended.
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

// take records answers. Of a run that has ended, as an event tells or an idle worker, the key is asked for first: it holds the result
// itself. When the backend does not answer, what the event shows has to do.
func (c *Collector) take(ctx context.Context, g gathered) (locked []domain.ID, err error) {
	var ended []domain.ID
	for _, a := range g.all() {
		if a.final && (a.shown || a.reason != "") {
			ended = append(ended, a.run)
		}
	}
	results, _, err := c.ask(ctx, ended)
	if err == nil {
		for _, a := range results {
			g.add(a)
		}
	}
	return c.write(ctx, g.all())
}

// metrics are what operators see of a collector.
type metrics struct {
	answers    *prometheus.CounterVec
	unreadable prometheus.Counter
	missed     prometheus.Counter
}

func newMetrics() metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	return metrics{
		answers:    prometheus.NewCounterVec(prometheus.CounterOpts{Name: "tactus_runs_ended_total", Help: "Runs that reached a final state, by state."}, []string{"status"}),
		unreadable: counter("tactus_results_unreadable_total", "Results and events that could not be read."),
		missed:     counter("tactus_results_missed_total", "Messages that came faster than they were taken, found by a sweep instead."),
	}
}

// Register makes the metrics visible.
func (c *Collector) Register(r prometheus.Registerer) error {
	return errors.Join(r.Register(c.metrics.answers), r.Register(c.metrics.unreadable), r.Register(c.metrics.missed))
}
