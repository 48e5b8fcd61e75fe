package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/tactus-dev/tactus/internal/access"
	"github.com/tactus-dev/tactus/internal/logging"
	"github.com/tactus-dev/tactus/internal/telemetry"
	"github.com/tactus-dev/tactus/internal/tracing"
)

// daemon has what api, relay and beat have in common: a database, an address to listen on, a guard that decides who may
// call it, health and metrics.
type daemon struct {
	name     string
	pool     *pgxpool.Pool
	looks    *pgxpool.Pool // for health
	listener net.Listener
	hosts    telemetry.Hosts
	guard    *access.Guard
	health   *telemetry.Health
	registry *prometheus.Registry
	logs     *logging.Log
	log      *slog.Logger // that of logs
	running  *parts
	profile  profileFlags
	traces   *tracing.Traces // nil when none are recorded
	drain    time.Duration   // after a signal, before the listener closes
}

// openDaemon opens a daemon, which the caller closes. address is where it listens unless a flag says so.
func openDaemon(ctx context.Context, name, address string, database databaseFlags, at httpFlags, to console,
	running *parts,
) (*daemon, error) {
	logs, err := at.log(to)
	if err != nil {
		return nil, err
	}
	d := &daemon{
		name: name, health: &telemetry.Health{}, registry: telemetry.NewRegistry(), logs: logs, log: logs.Logger,
		running: running, profile: at.profileFlags,
	}
	opening := database.openBounded
	if name == "api" { // a request may wait as long as its time limit
		opening = database.open
	}
	if d.pool, d.looks, err = database.connect(ctx, d.health, opening); err != nil {
		return nil, err
	}
	d.registry.MustRegister(telemetry.PoolMetrics{Pool: d.pool})
	if d.traces, err = at.Otel.traces(ctx, name, d.log); err != nil {
		d.close()
		return nil, err
	}
	if d.listener, d.hosts, err = at.listen(address); err == nil {
		d.guard, err = at.guard(d.pool, d.log, d.registry)
	}
	if err != nil {
		d.close()
		return nil, err
	}
	return d, nil
}

func (d *daemon) close() {
	if d.listener != nil {
		if err := d.listener.Close(); err != nil && !errors.Is(err, net.ErrClosed) { // serve has closed it, as a rule
			d.log.Warn("the listener was not closed", "err", err)
		}
	}
	d.running.close("traces", d.traces.Close)
	d.running.close(pooled, d.pool.Close)
	d.running.close(pooled, d.looks.Close)
}

// unaskedEvery is how often a process checks its readiness if nobody asks. This also checks whether somebody else may
// change the schema now, which open connections would not notice otherwise.
const unaskedEvery = 5 * time.Second

// keepHouse starts in a group what every daemon does besides its own work: it checks readiness, maintains the
// partitions, compares the time zone data of the processes, and watches for locked tables.
func (d *daemon) keepHouse(ctx context.Context, group partGroup, retention retentionFlags) {
	group.Go("readiness", func() error { return d.health.Keep(ctx, unaskedEvery) })
	group.Go("partitions", func() error { return maintain(ctx, d.pool, retention, d.log, d.registry) })
	group.Go("time zones", func() error { return watchZones(ctx, d.pool, d.name, d.listener, d.log, d.registry) })
	group.Go("table locks", func() error { return watchLocks(ctx, d.pool, d.health, d.log, d.registry) })
}

// operators returns the addresses of operators, such as /metrics and /readyz.
func (d *daemon) operators() *http.ServeMux { return operators(d.health, d.registry, d.logs) }

// serve serves a handler in a group until ctx ends and the listener has drained.
func (d *daemon) serve(ctx context.Context, group partGroup, handler http.Handler) {
	d.profile.profiles(ctx, group, d.log)
	handler = telemetry.Measured(d.registry, d.traces.Requests(handler))
	group.Go("requests", func() error {
		return telemetry.Serve(ctx, d.listener, d.hosts, handler, telemetry.Drain{Health: d.health, For: d.drain})
	})
}
