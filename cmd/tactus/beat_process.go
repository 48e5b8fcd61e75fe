package main

import (
	"context"
	"errors"
	"log/slog"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/tactus-dev/tactus/beat"
	"github.com/tactus-dev/tactus/internal/redis"
	"github.com/tactus-dev/tactus/internal/telemetry"
	"github.com/tactus-dev/tactus/internal/tracing"
)

// newBeat creates a beat, and registers its health and metrics. It returns the function that runs the beat.
func newBeat(pool *pgxpool.Pool, f beatFlags, r redisFlags, log *slog.Logger, health *telemetry.Health,
	registry *prometheus.Registry, traces *tracing.Traces,
) (run func(context.Context) error, stats func() beat.Stats, err error) {
	cfg, err := f.config(log)
	if err != nil {
		return nil, nil, err
	}
	if traces != nil && !f.Shadow {
		cfg.Traces = traces
	}
	if !f.Sync {
		b, err := watched(pool, nil, cfg, health, registry)
		if err != nil {
			return nil, nil, err
		}
		return b.Run, b.Stats, (letterMetrics{letterBox(pool, nil, r.stream(), 0)}).register(registry)
	}
	client, err := redis.Connect(r.events().reveal())
	if err != nil {
		return nil, nil, usage("%v", r.RedisURL.fault(err))
	}
	feed, err := redis.NewFeed(client, r.stream(), cfg.Name, log)
	if err != nil {
		return nil, nil, errors.Join(err, client.Close())
	}
	b, err := watched(pool, feed, cfg, health, registry)
	if err == nil {
		err = letterMetrics{letterBox(pool, client, r.stream(), 0)}.register(registry)
	}
	if err != nil {
		return nil, nil, errors.Join(err, client.Close())
	}
	return func(ctx context.Context) error {
		log.Info("sync by Redis", "stream", r.stream(), "group", "beat:"+cfg.Name, "channel", r.Channel)
		return errors.Join(b.Run(ctx), client.Close())
	}, b.Stats, nil
}

// watched creates a beat with its health and metrics. A standby counts as ready, as a leader does: it has all schedules
// in memory.
func watched(pool *pgxpool.Pool, feed *redis.Feed, cfg beat.Config, health *telemetry.Health,
	registry *prometheus.Registry,
) (*beat.Beat, error) {
	var hears beat.Feed
	if feed != nil {
		hears = ownFeed{feed, pool}
		health.Add("REDIS_URL", foreign(feed))
	}
	b, err := beat.New(pool, hears, cfg)
	if err != nil {
		return nil, err
	}
	health.Add("beat", func(context.Context) error {
		switch s := b.Stats(); {
		case s.Retired:
			return errors.New("it is in shadow mode and no longer does anything, because a beat that fires has " +
				"taken over: stop it")
		case s.Problem != nil:
			return s.Problem
		case !s.Loaded:
			return errors.New("the schedules are not loaded yet")
		case s.Late.For > stuckFor && !s.Late.Waits:
			return errors.New(s.Late.String())
		}
		return nil
	})
	health.Say("behind", func() string { return behind(b.Stats()) })
	health.Say("clock", func() string { return stepped(b.Stats()) })
	if cfg.Shadow {
		health.Note("mode", "shadow: due times are decided and recorded, nothing is sent")
		cfg.Log.Warn("shadow mode: due times are decided and recorded, nothing is sent")
	}
	registry.MustRegister(beatMetrics{b, feed})
	return b, nil
}

// foreign returns a health check that fails when the stream belongs to another installation. The beat is ready even
// when Redis does not answer, because it polls.
func foreign(feed *redis.Feed) func(context.Context) error {
	return func(ctx context.Context) error {
		if other, ok := errors.AsType[*redis.Foreign](feed.Whose(ctx)); ok {
			return other
		}
		return nil
	}
}
