package main

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/access"
	"github.com/tactus-dev/tactus/internal/api"
	"github.com/tactus-dev/tactus/internal/bodies"
	"github.com/tactus-dev/tactus/internal/catalog"
	"github.com/tactus-dev/tactus/internal/celery"
	"github.com/tactus-dev/tactus/internal/deadletter"
	"github.com/tactus-dev/tactus/internal/importer"
	"github.com/tactus-dev/tactus/internal/notify"
	"github.com/tactus-dev/tactus/internal/pages"
	"github.com/tactus-dev/tactus/internal/revoke"
	"github.com/tactus-dev/tactus/internal/shadow"
	"github.com/tactus-dev/tactus/internal/telemetry"
	"github.com/tactus-dev/tactus/outbox"
)

const apiAddr = "127.0.0.1:8000"

type apiCmd struct {
	databaseFlags
	httpFlags
	timezoneFlag
	queueFlags
	retentionFlags
	streamFlags
	leaseFlags
	Drain time.Duration `env:"TACTUS_DRAIN" default:"5s" help:"How long requests are answered after a signal to stop, while /readyz says so."`
}

const defaultDrain = 5 * time.Second

// streamFlags limit the event streams that clients hold open.
type streamFlags struct {
	Streams          int `env:"TACTUS_STREAMS" default:"128" help:"How many event streams (GET /events as Server-Sent Events) may be open at once."`
	StreamsPerClient int `env:"TACTUS_STREAMS_PER_CLIENT" default:"16" help:"How many of them one caller may hold. Under TACTUS_AUTH=none callers are told apart by address, and those behind a proxy that TACTUS_PROXY_FROM does not list share its address."`
}

func (f streamFlags) validate() error {
	if f.Streams < 1 || f.StreamsPerClient < 1 {
		return usage("TACTUS_STREAMS %d, TACTUS_STREAMS_PER_CLIENT %d: want 1 or more", f.Streams, f.StreamsPerClient)
	}
	return nil
}

func (f streamFlags) limits(keep retentionFlags) api.Limits {
	return api.Limits{Streams: f.Streams, StreamsPerClient: f.StreamsPerClient, RunRetention: keep.RunRetention}
}

// Run serves the API until ctx ends.
func (c apiCmd) Run(ctx context.Context, to console, running *parts) error {
	if err := errors.Join(c.timezoneFlag.validate(), c.retentionFlags.validate(),
		c.streamFlags.validate(), c.leaseFlags.validate()); err != nil {
		return err
	}
	if c.Drain < 0 {
		return usage("TACTUS_DRAIN %s: want 0 or more, such as 5s", c.Drain)
	}
	d, err := openDaemon(ctx, "api", apiAddr, c.databaseFlags, c.httpFlags, to, running)
	if err != nil {
		return err
	}
	defer d.close()
	d.drain, running.limit = c.Drain, max(stopLimit, stopLimit-defaultDrain+c.Drain)
	log := d.log
	started(log, "api", d.listener, "database_url", c.DatabaseURL, "timezone", c.Timezone)
	group, ctx := running.group(ctx)
	d.keepHouse(ctx, group, c.retentionFlags)
	group.Go("checks of what SQL wrote", func() error { return judge(ctx, d.pool, c.Timezone, c.celery(), log) })
	d.registry.MustRegister(invalidMetric{catalog.New(d.pool)})
	d.serve(ctx, group, apiHandler(d.guard, d.pool, c.Timezone, c.celery(), c.limits(c.retentionFlags), log, d.health,
		letterBox(d.pool, nil, "", c.lease()), d.operators()))
	return group.Wait()
}

// apiHandler serves the API and the pages, and beside them the operators' addresses, such as /metrics and /readyz.
func apiHandler(guard *access.Guard, pool *pgxpool.Pool, timezone string, workers celery.Config, limits api.Limits,
	log *slog.Logger, health *telemetry.Health, letters *deadletter.Box, operators *http.ServeMux,
) http.Handler {
	held := bodies.NewBudget(bodies.Most)
	limits.Bodies, limits.Catalog = held, catalog.New(pool)
	programs := api.New(pool, timezone, log, workers, limits)
	for _, address := range []string{
		"/api/", "/openapi.json", "/openapi.yaml", "/openapi-3.0.json", "/openapi-3.0.yaml",
	} {
		operators.Handle(address, programs)
	}
	description, err := api.Description()
	if err != nil {
		log.Error("the API cannot be described", "err", err)
	}
	operators.Handle("/", pages.New(pages.Config{
		Bodies:      held,
		Description: description,
		Store:       outbox.NewStore(pool, timezone, workers.Check), Catalog: limits.Catalog, Timezone: timezone,
		RunRetention: limits.RunRetention, Check: workers.Check, DefaultQueue: workers.DefaultQueue, Log: log,
		Ready: health.Ready, Elsewhere: programs, Provider: guard.LoginPath(), Letters: letters,
		Keys:  access.NewKeys(pool).Logged(log),
		Rules: notify.NewStore(pool),
		Moved: func(ctx context.Context, pattern string, route *domain.Route) (importer.Moves, error) {
			return importer.Moved(ctx, pool, pattern, route, workers.DefaultQueue)
		},
		Doctor: func(ctx context.Context) []string {
			var said strings.Builder
			d := &diagnosis{to: &said}
			if d.database(ctx, pool) == nil {
				if err := d.parts(ctx, pool); err != nil {
					d.sick("%v", err)
				}
			}
			return strings.Split(said.String(), "\n")
		},
		Cancel: func(ctx context.Context, o revoke.Order) ([]revoke.Cancelled, error) {
			return revoke.Cancel(ctx, pool, o)
		},
		Shadow: func(ctx context.Context, since time.Time) (shadow.Record, error) {
			return shadow.Read(ctx, pool, since)
		},
	}))
	guard.Mount(operators, held)
	return guarded(guard, operators)
}
