package main

import (
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	goredis "github.com/redis/go-redis/v9"

	"github.com/tactus-dev/tactus/internal/notify"
	"github.com/tactus-dev/tactus/internal/redis"
	"github.com/tactus-dev/tactus/relay"
	"github.com/tactus-dev/tactus/relay/cloudevents"
)

// notificationFlags say which networks notifications may reach.
type notificationFlags struct {
	Private   []string `name:"notify-private" env:"TACTUS_NOTIFY_PRIVATE" placeholder:"NETWORK" help:"Private networks that notifications may be sent to, such as 10.0.0.0/8,192.168.1.7; none unless given."`
	RunEvents *bool    `name:"run-events" env:"TACTUS_RUN_EVENTS" help:"true: append the state of every run that ends to the stream tactus:runs (run.succeeded, run.failed, run.missed ...), whatever notification rules say; false: no longer. It is of the whole installation; a relay that is told neither leaves it as it is."`
}

// runStream is the key of the stream of happenings.
const runStream = "tactus:runs"

// notifications returns the service that delivers notifications. It does nothing while there are no rules.
func (f notificationFlags) notifications(pool *pgxpool.Pool, events goredis.UniversalClient, to redisFlags, keep time.Duration,
	log *slog.Logger, registry prometheus.Registerer,
) (*notify.Service, error) {
	private, err := notify.ParsePrivate(f.Private)
	if err != nil {
		return nil, usage("TACTUS_NOTIFY_PRIVATE: %v", err)
	}
	name := to.Prefix + runStream
	stream := redis.NewEventSink(events, redis.EventConfig{
		Stream: name,
		Alarm:  func(problem string) { log.Error("stream was tampered with", "stream", name, "reason", problem) },
	})
	courier := notify.NewCourier(pool, notify.NewPublisher(private), log, registry)
	return notify.NewService(pool, courier, notify.Config{
		Log: log, AllStates: f.RunEvents, Keep: keep,
		Stream: relay.Route{
			To: "stream " + name, Sink: stream, Announce: cloudevents.EpochStarted, Trim: trimmer(stream, name, log),
		},
	})
}
