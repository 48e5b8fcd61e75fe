package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"time"

	"github.com/tactus-dev/tactus/beat"
	"github.com/tactus-dev/tactus/domain"
)

const beatAddr = "127.0.0.1:8002"

// beatFlags are the flags of the beat alone.
type beatFlags struct {
	Sync        bool          `name:"celery-beat-redis-sync-enabled" env:"CELERY_BEAT_REDIS_SYNC_ENABLED" default:"true" negatable:"" help:"Hear of changes through Redis; otherwise a poll finds them within a minute."`
	MinInterval float64       `name:"celery-beat-min-sync-interval" env:"CELERY_BEAT_MIN_SYNC_INTERVAL" default:"5" help:"Least number of seconds between two resyncs."`
	BeatName    string        `name:"beat-name" env:"TACTUS_BEAT_NAME" help:"Name of this beat, which stays the same over restarts (default the host's name). Two beats on one host need two names: the second beat of a name would get a consumer group with a made-up name."`
	Takeover    int64         `name:"takeover-seconds" env:"TACTUS_TAKEOVER_SECONDS" default:"15" help:"How many seconds late a due time fires whatever the misfire policy: as long as a crashed beat and the takeover by the next may take."`
	Statements  int           `name:"beat-statements" env:"TACTUS_BEAT_STATEMENTS" default:"2" help:"How many statements fire at once when much is due, each on a connection (at most 16): about half the processors of PostgreSQL."`
	OnCompleted string        `name:"on-completed" env:"TACTUS_ON_COMPLETED" enum:"keep,delete" default:"keep" help:"What becomes of schedules that can fire no more and do not say so themselves (on_completed): keep or delete."`
	Retention   time.Duration `name:"completed-retention" env:"TACTUS_COMPLETED_RETENTION" default:"168h" help:"How long a schedule that can fire no more is kept before it is deleted, if it is to be."`
	Shadow      bool          `name:"beat-shadow" env:"TACTUS_BEAT_SHADOW" default:"false" negatable:"" help:"Record what would fire, and send nothing, while another beat is in charge; tactus shadow report compares the two."`
	leaseFlags
}

func (f beatFlags) validate() error {
	if f.MinInterval <= 0 {
		return usage("CELERY_BEAT_MIN_SYNC_INTERVAL %v: want a positive number of seconds", f.MinInterval)
	}
	if f.Takeover <= 0 {
		return usage("TACTUS_TAKEOVER_SECONDS %d: want at least a second", f.Takeover)
	}
	if f.Statements < 1 || f.Statements > 16 {
		return usage("TACTUS_BEAT_STATEMENTS %d: want 1 to 16", f.Statements)
	}
	if f.Retention <= 0 {
		return usage("TACTUS_COMPLETED_RETENTION %s: want a time, such as 168h", f.Retention)
	}
	return f.leaseFlags.validate()
}

// leaseFlags say how long a silent run counts as unfinished.
type leaseFlags struct {
	Lease int64 `name:"overlap-lease-seconds" env:"TACTUS_OVERLAP_LEASE_SECONDS" default:"3600" help:"Seconds after which a silent run without a time limit no longer holds back the next run, where runs must not overlap."`
}

func (f leaseFlags) validate() error {
	if f.Lease <= 0 {
		return usage("TACTUS_OVERLAP_LEASE_SECONDS %d: want at least a second", f.Lease)
	}
	return nil
}

func (f leaseFlags) lease() time.Duration { return time.Duration(f.Lease) * time.Second }

func (f beatFlags) config(log *slog.Logger) (beat.Config, error) {
	cfg := beat.Config{
		Name: f.BeatName, Poll: beat.DefaultPoll,
		MinResync: time.Duration(f.MinInterval * float64(time.Second)), Lease: f.lease(),
		Takeover: time.Duration(f.Takeover) * time.Second, Statements: f.Statements, Shadow: f.Shadow, Log: log,
		DeleteCompleted: f.OnCompleted == domain.OnCompletedDelete, CompletedRetention: f.Retention,
	}
	if !f.Sync {
		cfg.Poll = beat.PollWithoutFeed
	}
	if cfg.Name != "" {
		return cfg, nil
	}
	host, err := os.Hostname()
	if err != nil {
		return cfg, usage("TACTUS_BEAT_NAME is not set, and the host has no name: %v", err)
	}
	cfg.Name = host
	return cfg, nil
}

type beatCmd struct {
	databaseFlags
	httpFlags
	redisFlags
	beatFlags
	resultsFlags
	keyFlags
	retentionFlags
}

// Run runs the beat until ctx ends.
func (c beatCmd) Run(ctx context.Context, to console, running *parts) error {
	c.ResultBackend = c.with(c.ResultBackend)
	wrong := errors.Join(c.databaseFlags.validate(), c.beatFlags.validate(), c.resultsFlags.validate(), c.retentionFlags.validate())
	if c.Sync {
		wrong = errors.Join(wrong, c.redisFlags.validate())
	}
	if wrong != nil {
		return wrong
	}
	d, err := openDaemon(ctx, "beat", beatAddr, c.databaseFlags, c.httpFlags, to, running)
	if err != nil {
		return err
	}
	defer d.close()
	log := d.log
	started(log, "beat", d.listener, "database_url", c.DatabaseURL, "redis_url", c.RedisURL, "shadow", c.Shadow)
	run, stats, err := newBeat(d.pool, c.beatFlags, c.redisFlags, log, d.health, d.registry, d.traces)
	if err != nil {
		return err
	}
	group, ctx := running.group(ctx)
	group.Go("beat", func() error { return run(ctx) })
	group.Go("shadow records", func() error { return c.watch(ctx, d.pool, c.broker(), c.KeyPrefix, stats, log) })
	d.keepHouse(ctx, group, c.retentionFlags)
	group.Go("adopted tables", func() error { return mend(ctx, d.pool, log, d.registry) })
	group.Go("results", func() error {
		return c.collect(ctx, d.pool, c.broker(), c.KeyPrefix, c.lease(), log, d.registry, d.traces)
	})
	d.serve(ctx, group, guarded(d.guard, d.operators()))
	return group.Wait()
}
