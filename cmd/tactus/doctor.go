package main

import (
	"context"
	"fmt"

	"github.com/tactus-dev/tactus/domain/zone"
	"github.com/tactus-dev/tactus/internal/hostzones"
	"github.com/tactus-dev/tactus/internal/redis"
	"github.com/tactus-dev/tactus/internal/zonewatch"
)

// doctorCmd examines all parts of an installation. Lines that begin with ! say what must be done; those with ? may be
// as intended.
type doctorCmd struct {
	databaseFlags
	redisFlags
	Otel tracingFlags `embed:"" prefix:"otel-" envprefix:"OTEL_"`
}

// Run examines PostgreSQL, Redis, what the processes have recorded in the database, and the time zone data. It fails if
// something must be done.
func (c doctorCmd) Run(ctx context.Context, to console, all *commands) error {
	d := &diagnosis{to: to.out}
	if c.DatabaseURL.isSet() {
		pool, err := c.open(ctx)
		if err != nil {
			return err
		}
		defer pool.Close()
		if d.database(ctx, pool) == nil {
			if err := d.parts(ctx, pool); err != nil {
				return err
			}
		}
	}
	if !c.RedisURL.isSet() {
		d.remark("REDIS_URL is not set, so no Redis was looked at")
	} else {
		d.redis(ctx, "the Redis of events", c.events(), redis.CheckEviction, c.stream())
		d.redis(ctx, "the Redis of the workers", c.broker(), redis.CheckBroker, "")
	}
	if err := c.tracesGo(d); err != nil {
		return err
	}
	if err := c.zones(ctx, to, all); err != nil {
		return err
	}
	if d.ill {
		return errReported
	}
	return nil
}

// tracesGo reports where processes with the same settings send their traces.
func (c doctorCmd) tracesGo(d *diagnosis) error {
	on, fault := c.Otel.wanted()
	if fault != "" {
		d.remark("%s: it is left out", fault)
	}
	if !on {
		return nil
	}
	host, err := c.Otel.host()
	if err == nil {
		d.well("traces go to %s", host)
	}
	return err
}

// zones compares versions of the time zone data. It fails if a process uses another version than this program.
func (c doctorCmd) zones(ctx context.Context, to console, all *commands) error {
	sayLine(to.out, "time zone data: this program has %s, and uses %s", zone.EmbeddedVersion(), zones())
	ill := false
	for _, found := range hostzones.All(all.Zoneinfo) {
		switch {
		case found.Err != nil:
			sayLine(to.out, "  %v", found.Err)
		case hostzones.Newer(found.Version, zone.EmbeddedVersion()):
			sayLine(to.out, "  %s has %s, which is newer than this program's: update tactus, or have every "+
				"process use that data", found.Place, found.Version)
		default:
			sayLine(to.out, "  %s has %s, which is not newer", found.Place, found.Version)
		}
	}
	if !c.DatabaseURL.isSet() {
		fmt.Fprintln(to.out, "  DATABASE_URL is not set, so the processes were not asked")
		return nil
	}
	pool, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer pool.Close()
	processes, err := zonewatch.Processes(ctx, pool)
	if err != nil {
		return fmt.Errorf("read the versions of the processes: %w", err)
	}
	for _, p := range processes {
		switch {
		case hostzones.Newer(zone.Version(), p.Version):
			ill = true
			sayLine(to.out, "  %s uses %s, which is older than here: update it, or give it the same "+
				"ZONEINFO", p.Process, p.Version)
		case hostzones.Newer(p.Version, zone.Version()):
			ill = true
			sayLine(to.out, "  %s uses %s, which is newer than here", p.Process, p.Version)
		default:
			sayLine(to.out, "  %s uses the same", p.Process)
		}
	}
	if ill {
		return errReported
	}
	return nil
}
