package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	goredis "github.com/redis/go-redis/v9"

	"github.com/tactus-dev/tactus/internal/redis"
	"github.com/tactus-dev/tactus/internal/results"
	"github.com/tactus-dev/tactus/internal/tracing"
)

// resultsFlags say where the workers report what became of their tasks.
type resultsFlags struct {
	ResultBackend   secret        `name:"celery-result-backend" env:"CELERY_RESULT_BACKEND" placeholder:"URL" help:"Redis where the workers store results, a URL like REDIS_URL (default the broker); disabled:// to only listen to the workers' events; or CELERY_RESULT_BACKEND_FILE, a file with it."`
	ResultKeyPrefix string        `env:"TACTUS_RESULT_KEY_PREFIX" help:"Prefix of celery-task-meta- in the keys of results."`
	ResultsEnabled  bool          `env:"TACTUS_RESULTS_ENABLED" default:"true" negatable:"" help:"Collect results and events of the workers."`
	ResultTimeout   time.Duration `env:"TACTUS_RESULT_TIMEOUT" default:"24h" help:"Time after which a run that nothing was heard of becomes unknown."`
}

// validate returns an error for a bad value, before anything starts.
func (f resultsFlags) validate() error {
	if f.ResultTimeout <= 0 {
		return usage("TACTUS_RESULT_TIMEOUT %s: want a time, such as 24h", f.ResultTimeout)
	}
	if f.eventsOnly() || !f.ResultBackend.isSet() {
		return nil
	}
	backend, err := redis.ConnectBackend(f.ResultBackend.reveal())
	if err != nil {
		return usage("%v; set it to disabled:// when results are not in Redis: then tactus listens to the workers' "+
			"events (worker -E)", f.ResultBackend.fault(err))
	}
	return backend.Close()
}

// eventsOnly reports whether the workers have no result backend, which Celery writes as disabled://.
func (f resultsFlags) eventsOnly() bool {
	return strings.HasPrefix(f.ResultBackend.reveal(), "disabled://")
}

// collect follows runs until ctx ends. Without a broker, or with results disabled, it only ends silent runs after their
// time and releases the runs that wait for them. keyPrefix is the prefix of the broker's keys; lease is the longest
// that a silent run without a time limit counts as unfinished.
func (f resultsFlags) collect(ctx context.Context, pool *pgxpool.Pool, broker secret, keyPrefix string,
	lease time.Duration, log *slog.Logger, registry prometheus.Registerer, traces *tracing.Traces,
) error {
	backend, events, cfg, err := f.sources(broker, keyPrefix)
	if err != nil {
		return err
	}
	cfg.Longest = lease
	if traces != nil {
		cfg.Traces = traces
	}
	for _, client := range []goredis.UniversalClient{backend, events} {
		if client != nil {
			defer client.Close()
		}
	}
	collector, err := results.New(pool, backend, events, log, cfg)
	if err != nil {
		return err
	}
	if err := collector.Register(registry); err != nil {
		return err
	}
	return collector.Run(ctx)
}

// eventPrefix returns the prefix of the channels of a broker's events.
func eventPrefix(broker goredis.UniversalClient, keyPrefix string) string {
	return fmt.Sprintf("%s/%d.", keyPrefix, redis.Database(broker))
}

// sources connects to the sources of results and of events. A client is nil where there is nothing to listen to.
func (f resultsFlags) sources(broker secret, keyPrefix string) (backend, events goredis.UniversalClient,
	cfg results.Config, err error,
) {
	cfg = results.Config{KeyPrefix: f.ResultKeyPrefix, Timeout: f.ResultTimeout}
	if !f.ResultsEnabled || !broker.isSet() {
		return nil, nil, cfg, nil
	}
	if events, err = redis.ConnectBroker(broker.reveal()); err != nil {
		return nil, nil, cfg, usage("%v", broker.fault(err))
	}
	cfg.EventPrefix = eventPrefix(events, keyPrefix)
	from, connect := broker, redis.ConnectBroker
	switch {
	case f.eventsOnly():
		return nil, events, cfg, nil
	case f.ResultBackend.isSet():
		from, connect = f.ResultBackend, redis.ConnectBackend
	}
	backend, err = connect(from.reveal())
	if err != nil {
		return nil, nil, cfg, errors.Join(usage("%v", from.fault(err)), events.Close())
	}
	return backend, events, cfg, nil
}
