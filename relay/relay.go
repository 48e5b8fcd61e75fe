package relay

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tactus-dev/tactus/internal/slowclock"
	"github.com/tactus-dev/tactus/internal/tablelocks"
)

// Config configures a Relay. A zero field means its default.
type Config struct {
	Log      *slog.Logger  // nil: nothing is logged
	Patience time.Duration // how long a statement, or a call of a sink, may take before it fails; default 30 s
	Traces   Traces        // records traces of what the relay does; nil for none
	Keep     time.Duration // how long batches and run events are kept after every sink has them; default 7 days
}

const (
	defaultPatience = 30 * time.Second
	defaultKeep     = 7 * 24 * time.Hour
)

// Relay carries rows along its routes. Each route has a loop of its own, so a sink that is down delays no other.
type Relay struct {
	db    *pgxpool.Pool
	cfg   Config
	lanes []*lane
	clock slowclock.Clock
}

// New returns a relay that uses a pool, which the caller closes.
func New(db *pgxpool.Pool, routes []Route, cfg Config) (*Relay, error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Patience == 0 {
		cfg.Patience = defaultPatience
	}
	if cfg.Keep == 0 {
		cfg.Keep = defaultKeep
	}
	r := &Relay{db: db, cfg: cfg}
	names, beside := map[string]bool{}, tablelocks.NewBeside(db, cfg.Log)
	for _, route := range routes {
		if err := route.check(); err != nil {
			return nil, err
		}
		if route.Redeliver > cfg.Keep {
			return nil, fmt.Errorf("route %s: what is handed over again must be kept: %s is more than %s", route.Name,
				route.Redeliver, cfg.Keep)
		}
		if names[route.Name] {
			return nil, fmt.Errorf("two routes lead to %s", route.Name)
		}
		names[route.Name] = true
		l := &lane{
			Route: route, db: db, log: cfg.Log, patience: cfg.Patience, bell: make(chan struct{}, 1), beside: beside,
			traces: cfg.Traces,
		}
		l.tally.stats = Stats{Sink: route.Name, Topic: route.Topic}
		r.lanes = append(r.lanes, l)
	}
	return r, nil
}

// Run carries rows until ctx ends. Failures are logged, and tried again.
func (r *Relay) Run(ctx context.Context) {
	var all sync.WaitGroup
	for _, l := range r.lanes {
		all.Go(func() { l.run(ctx) })
	}
	all.Go(func() { r.upkeep(ctx) })
	all.Wait()
}

// Wake makes the routes of a topic, or all routes if it is empty, look for new rows now, because the bell was heard.
func (r *Relay) Wake(topic string) {
	for _, l := range r.lanes {
		if topic != "" && topic != l.Topic {
			continue
		}
		select {
		case l.bell <- struct{}{}:
		default: // it will look anyway
		}
	}
}

// Stats returns the figures of each sink.
func (r *Relay) Stats() []Stats {
	all := make([]Stats, len(r.lanes))
	for i, l := range r.lanes {
		all[i] = l.tally.get()
	}
	return all
}
