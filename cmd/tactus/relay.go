package main

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/tactus-dev/tactus/internal/notify"
	"github.com/tactus-dev/tactus/internal/redis"
	"github.com/tactus-dev/tactus/internal/revoke"
	"github.com/tactus-dev/tactus/internal/telemetry"
	"github.com/tactus-dev/tactus/internal/tracing"
	"github.com/tactus-dev/tactus/outbox"
	"github.com/tactus-dev/tactus/relay"
)

const relayAddr = "127.0.0.1:8001"

// relayFlags are the flags of the relay alone.
type relayFlags struct {
	queueFlags
	notificationFlags
	ListenURL secret        `env:"TACTUS_LISTEN_URL" placeholder:"URL" help:"PostgreSQL for LISTEN, a URL that does not lead through a pooler (default DATABASE_URL); none to only poll; or TACTUS_LISTEN_URL_FILE, a file with it."`
	Redeliver time.Duration `name:"redeliver-window" env:"TACTUS_REDELIVER_WINDOW" default:"1h" help:"Age up to which a run that a broker has lost is handed over again, unless it is known to have started."`
	LogKeep   time.Duration `name:"log-retention" env:"TACTUS_LOG_RETENTION" default:"168h" help:"How long run events, batches and the entries of the event stream are kept (7 days)."`
}

func (f relayFlags) validate() error {
	if f.Redeliver <= 0 {
		return usage("TACTUS_REDELIVER_WINDOW %s: want a time, such as 1h", f.Redeliver)
	}
	if f.LogKeep < max(f.Redeliver, leastLogKeep) {
		return usage("TACTUS_LOG_RETENTION %s: at least %s and TACTUS_REDELIVER_WINDOW (%s), because lost runs are "+
			"read from the log", f.LogKeep, leastLogKeep, f.Redeliver)
	}
	if _, err := notify.ParsePrivate(f.Private); err != nil {
		return usage("TACTUS_NOTIFY_PRIVATE: %v", err)
	}
	return f.listenURL(secret{}).checkDatabase("TACTUS_LISTEN_URL")
}

// leastLogKeep leaves time to fix what keeps a sink from being served.
const leastLogKeep = time.Hour

type relayCmd struct {
	databaseFlags
	httpFlags
	redisFlags
	relayFlags
	retentionFlags
	TakeOver bool   `help:"Make this installation the owner of keys that belong to another installation, which is gone for good, and exit."`
	Forget   string `placeholder:"SINK" help:"Unregister a sink that is gone for good or that no relay can serve, so that the log is no longer kept for it, and exit."`
}

// Run runs the relay until ctx ends.
func (c relayCmd) Run(ctx context.Context, to console, log *slog.Logger, running *parts) error {
	switch {
	case c.Forget != "":
		return c.forget(ctx, c.Forget, to)
	case c.TakeOver:
		return c.takeOver(ctx, to, log)
	}
	if err := errors.Join(c.databaseFlags.validate(), c.redisFlags.validate(), c.relayFlags.validate(),
		c.retentionFlags.validate()); err != nil {
		return err
	}
	d, err := openDaemon(ctx, "relay", relayAddr, c.databaseFlags, c.httpFlags, to, running)
	if err != nil {
		return err
	}
	defer d.close()
	log = d.log
	started(log, "relay", d.listener, "database_url", c.DatabaseURL, "listen_url", c.listenURL(c.DatabaseURL),
		"redis_url", c.RedisURL, "celery_broker_url", c.broker(), "redeliver_window", c.Redeliver, "default_queue",
		c.Queue)
	group, ctx := running.group(ctx)
	group.Go("relay", func() error {
		return c.relay(ctx, d.pool, c.DatabaseURL, c.redisFlags, log, d.health, d.registry, d.traces)
	})
	d.keepHouse(ctx, group, c.retentionFlags)
	group.Go("checks of what SQL wrote", func() error { return judge(ctx, d.pool, "", c.celery(), log) })
	d.serve(ctx, group, guarded(d.guard, d.operators()))
	return group.Wait()
}

// listenURL returns the URL at which to listen for the bell, or an unset one to only poll.
func (f relayFlags) listenURL(database secret) secret {
	switch f.ListenURL.reveal() {
	case "":
		return database
	case "none":
		return secret{}
	}
	return f.ListenURL
}

// relay serves the sinks of the events and of the tasks until ctx ends.
func (f relayFlags) relay(ctx context.Context, pool *pgxpool.Pool, database secret, to redisFlags, log *slog.Logger,
	health *telemetry.Health, registry prometheus.Registerer, traces *tracing.Traces,
) error {
	events, err := redis.Connect(to.events().reveal())
	if err != nil {
		return usage("%v", to.RedisURL.fault(err))
	}
	defer events.Close()
	broker, err := redis.ConnectBroker(to.broker().reveal())
	if err != nil {
		return usage("%v", to.broker().fault(err))
	}
	defer broker.Close()
	stream := eventStream(events, to, log)
	routes, err := f.routes(stream, events, broker, to, log, traces)
	if err != nil {
		return err
	}
	cfg := relay.Config{Log: log, Keep: f.LogKeep}
	if traces != nil {
		cfg.Traces = traces
	}
	r, err := relay.New(pool, f.withNames(routes, pool, events, broker, log), cfg)
	if err != nil {
		return err
	}
	told, err := f.notifications(pool, events, to, f.LogKeep, log, registry)
	if err != nil {
		return err
	}
	all := allServed{r, told}
	registry.MustRegister(relayMetrics{all}, sinkMetrics{pool, stream})
	if err := (letterMetrics{letterBox(pool, events, to.stream(), 0)}).register(registry); err != nil {
		return err
	}
	watchRelay(health, all)
	health.Add("REDIS_URL", func(ctx context.Context) error { return redis.CheckEviction(ctx, events) })
	health.Add("CELERY_BROKER_URL", func(ctx context.Context) error { return redis.CheckBroker(ctx, broker) })
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		r.Run(ctx)
		return nil
	})
	group.Go(func() error { return forgetStreams(ctx, pool, events, log) })
	group.Go(func() error {
		told.Run(ctx)
		return nil
	})
	group.Go(func() error {
		revoke.Teller{Pool: pool, Broker: broker, Prefix: eventPrefix(broker, f.KeyPrefix), Log: log}.Run(ctx)
		return nil
	})
	if url := f.listenURL(database); url.isSet() {
		group.Go(func() error {
			outbox.Listen(ctx, url.reveal(), r.Wake,
				func(err error) { log.Warn("cannot listen for the bell; polling", "err", err) })
			return nil
		})
	}
	return group.Wait()
}
