package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/tactus-dev/tactus/internal/catalog"
	"github.com/tactus-dev/tactus/internal/redis"
	"github.com/tactus-dev/tactus/internal/servers"
	"github.com/tactus-dev/tactus/internal/telemetry"
)

type devCmd struct {
	databaseFlags
	httpFlags
	timezoneFlag
	redisFlags
	relayFlags
	beatFlags
	resultsFlags
	retentionFlags
	streamFlags
	StateDir string `env:"TACTUS_STATE_DIR" placeholder:"DIR" help:"Folder for the servers' data and dev.env (default in your state folder)."`
	Env      bool   `help:"Only print the addresses of the one that runs: eval \"$(tactus dev --env)\"."`
}

// Run starts the servers that no URL names, migrates, and serves until ctx ends.
func (c devCmd) Run(ctx context.Context, to console, running *parts) (err error) {
	c.ResultBackend = c.with(c.ResultBackend)
	if err := errors.Join(c.timezoneFlag.validate(), c.relayFlags.validate(), c.beatFlags.validate(),
		c.resultsFlags.validate(), c.retentionFlags.validate(), c.streamFlags.validate()); err != nil {
		return err
	}
	state, err := c.stateDir()
	if err != nil {
		return err
	}
	if c.Env {
		return printEnv(state, to.out)
	}
	unlock, err := claim(state)
	if err != nil {
		return err
	}
	defer unlock()
	owned := &ownServers{dir: state, say: func(text string) { say(to.problems, "tactus dev: %s\n", text) }}
	defer func() { err = errors.Join(err, running.do("PostgreSQL and Redis", owned.stop)) }()
	given := c.DatabaseURL.isSet()
	if err := c.startServers(ctx, owned); err != nil {
		return err
	}
	if err := migrate(ctx, c.DatabaseURL.reveal(), to); err != nil {
		if given {
			err = fmt.Errorf("%w (DATABASE_URL is set, perhaps by an earlier dev.env: in a terminal without it and "+
				"REDIS_URL, tactus dev starts servers of its own)", err)
		}
		return err
	}
	return c.serve(ctx, state, owned, to, running)
}

// stateDir returns an absolute path, because the servers run in other folders.
func (c devCmd) stateDir() (string, error) {
	if c.StateDir != "" {
		return filepath.Abs(c.StateDir)
	}
	return servers.StateDir()
}

// startServers starts the servers whose URLs were not given.
func (c *devCmd) startServers(ctx context.Context, owned *ownServers) (err error) {
	if !c.DatabaseURL.isSet() {
		if c.DatabaseURL, err = owned.postgres(ctx); err != nil {
			return err
		}
	}
	if !c.RedisURL.isSet() {
		if c.RedisURL, err = owned.redis(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (c devCmd) serve(ctx context.Context, state string, owned *ownServers, to console, running *parts,
) error {
	logs, err := c.log(to)
	if err != nil {
		return err
	}
	log := logs.Logger
	traces, err := c.Otel.traces(ctx, "dev", log)
	if err != nil {
		return err
	}
	defer running.close("traces", traces.Close)
	l, hosts, err := c.listen(apiAddr)
	if err != nil {
		return err
	}
	health, registry := &telemetry.Health{}, telemetry.NewRegistry()
	requests, err := c.open(ctx) // its own pool: waiting requests use none of the beat's
	if err != nil {
		return err
	}
	defer running.close(pooled, requests.Close)
	pool, looks, err := c.connect(ctx, health, c.openBounded, requests)
	if err != nil {
		return err
	}
	defer running.close(pooled, looks.Close)
	defer running.close(pooled, pool.Close)
	guard, err := c.guard(requests, log, registry)
	if err != nil {
		return err
	}
	env := devEnv{c.DatabaseURL, c.RedisURL, c.broker(), c.resultBackend(), c.scheme() + "://" + l.Addr().String()}
	if err := env.write(filepath.Join(state, devEnvFile)); err != nil {
		return err
	}
	beat, stats, err := newBeat(pool, c.beatFlags, c.redisFlags, log, health, registry, traces)
	if err != nil {
		return err
	}
	events, err := redis.Connect(c.events().reveal())
	if err != nil {
		return usage("%v", c.RedisURL.fault(err))
	}
	defer events.Close()
	group, ctx := running.group(ctx)
	group.Go("relay", func() error {
		return c.relay(ctx, pool, c.DatabaseURL, c.redisFlags, log, health, registry, traces)
	})
	for _, s := range owned.all {
		group.Go("watching "+s.name, func() error { return owned.watch(ctx, s) })
	}
	group.Go("beat", func() error { return beat(ctx) })
	group.Go("shadow records", func() error { return c.watch(ctx, pool, c.broker(), c.KeyPrefix, stats, log) })
	group.Go("readiness", func() error { return health.Keep(ctx, unaskedEvery) })
	group.Go("partitions", func() error { return maintain(ctx, pool, c.retentionFlags, log, registry) })
	group.Go("time zones", func() error { return watchZones(ctx, pool, "dev", l, log, registry) })
	group.Go("table locks", func() error { return watchLocks(ctx, pool, health, log, registry) })
	group.Go("adopted tables", func() error { return mend(ctx, pool, log, registry) })
	group.Go("checks of what SQL wrote", func() error { return judge(ctx, pool, c.Timezone, c.celery(), log) })
	registry.MustRegister(invalidMetric{catalog.New(pool)}, telemetry.PoolMetrics{Pool: pool})
	handler := apiHandler(guard, requests, c.Timezone, c.celery(), c.limits(c.retentionFlags), log, health,
		letterBox(requests, events, c.stream(), c.lease()), operators(health, registry, logs))
	group.Go("requests", func() error {
		handler = telemetry.Measured(registry, traces.Requests(handler))
		return telemetry.Serve(ctx, l, hosts, handler, telemetry.Drain{Health: health})
	})
	c.profiles(ctx, group, log)
	started(log, "dev", l, "state_dir", state, "shadow", c.Shadow)
	group.Go("results", func() error {
		return c.collect(ctx, pool, c.broker(), c.KeyPrefix, c.lease(), log, registry, traces)
	})
	env.banner(to.out, state, c.Auth)
	return group.Wait()
}

// resultBackend returns the URL at which workers store results. Results are JSON, which events of workers are not.
func (c devCmd) resultBackend() secret {
	if c.ResultBackend.isSet() {
		return c.ResultBackend
	}
	return c.broker()
}

func (e devEnv) banner(to io.Writer, state, auth string) {
	try, header, folder := ours("Try it:\n"), "", ""
	if usual, err := servers.StateDir(); err != nil || usual != state {
		folder = " --state-dir '" + state + "'"
	}
	if slices.Contains(strings.Split(auth, ","), "keys") {
		try = "Callers need a key. This makes one, and tries it:\n\n  export TACTUS_TOKEN=$(bin/tactus key create me --role admin)\n"
		header = ` -H "Authorization: Bearer $TACTUS_TOKEN"`
	}
	say(to, `
tactus is running.

  Pages     %s
  API       %[1]s/api/v1   (described at %[1]s/docs)
  Postgres  %s
  Redis     %s
  data      %s

In another terminal, this sets the addresses, with their passwords:

  eval "$(bin/tactus dev --env%[7]s)"

%[5]s
  curl -X POST %[1]s/api/v1/schedules%[6]s -d '{"name":"minutely","cron_expression":"* * * * *","task_name":"app.hello"}'

Ctrl-C stops everything; the data stays.
`, e.url, e.database, e.redis, state, try, header, folder)
}

// ownServers are the servers that dev has started.
type ownServers struct {
	dir string
	say func(string)
	all []ownServer // in the order in which they were started
}

func (o *ownServers) config(name string) servers.Config {
	return servers.Config{Dir: filepath.Join(o.dir, name), Durable: true, KeepPort: true, Log: o.say}
}

// devRole owns dev's database. It is not a superuser.
const devRole = "dev"

func (o *ownServers) postgres(ctx context.Context) (url secret, err error) {
	o.say("starting PostgreSQL")
	p, err := servers.StartPostgres(ctx, o.config("postgres"))
	if err != nil {
		return secret{}, err
	}
	o.all = append(o.all, ownServer{"PostgreSQL", p})
	owned, err := p.CreateOwned(ctx, "tactus", devRole)
	return secretOf(owned), err
}

func (o *ownServers) redis(ctx context.Context) (url secret, err error) {
	o.say("starting Redis")
	r, err := servers.StartRedis(ctx, o.config("redis"))
	if err != nil {
		return secret{}, err
	}
	o.all = append(o.all, ownServer{"Redis", r})
	return secretOf(r.URL(0)), nil
}

const stopTimeout = 20 * time.Second

func (o *ownServers) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	var errs []error
	for _, s := range slices.Backward(o.all) {
		errs = append(errs, s.Stop(ctx))
	}
	return errors.Join(errs...)
}

// claim locks the state folder: two processes would start two servers on the same data.
func claim(dir string) (unlock func(), err error) {
	if err := servers.OwnDir(dir); err != nil {
		return nil, usage("the state folder: %v (TACTUS_STATE_DIR, --state-dir)", err)
	}
	unlock, held, err := servers.TryLock(filepath.Join(dir, "lock"))
	if err != nil {
		return nil, err
	}
	if held {
		return nil, usage("another tactus dev runs on %s: stop it, or choose another folder by TACTUS_STATE_DIR",
			strings.TrimSpace(dir))
	}
	return unlock, nil
}
