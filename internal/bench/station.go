package bench

import (
	"context"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/jackc/pgx/v5/pgxpool"
	goredis "github.com/redis/go-redis/v9"

	"github.com/tactus-dev/tactus/internal/celery"
	"github.com/tactus-dev/tactus/internal/redis"
	"github.com/tactus-dev/tactus/internal/sqlexpr"
	"github.com/tactus-dev/tactus/outbox"
	"github.com/tactus-dev/tactus/relay"
	"github.com/tactus-dev/tactus/relay/cloudevents"
)

// station is a relay with all the routes and the bell, as "tactus relay" runs it.
type station struct {
	*relay.Relay
	cancel context.CancelFunc
	parts  sync.WaitGroup
}

// channel is where a station publishes notices; nobody subscribes.
const channel = "bench:notices"

func startStation(ctx context.Context, pool *pgxpool.Pool, client goredis.UniversalClient) (*station, error) {
	tasks, err := redis.NewTaskSink(client, "celery")
	if err != nil {
		return nil, err
	}
	streams, err := redis.NewTaskSink(client, "streams")
	if err != nil {
		return nil, err
	}
	encode := func(row outbox.Row, epoch string) (*message.Message, error) {
		return redis.EncodeRun(row, epoch, celery.Config{}) // none of the bench goes to a stream
	}
	r, err := relay.New(pool, []relay.Route{
		{
			Name: "events", Topic: outbox.Schedules, Encode: cloudevents.Schedule, Announce: cloudevents.EpochStarted,
			Sink: redis.NewEventSink(client, redis.EventConfig{Channel: channel}),
		},
		{
			Name: "celery", Topic: outbox.Runs, Sink: tasks, Tasks: true, Redeliver: time.Hour,
			Encode: encode,
		},
		{
			Name: "streams", Topic: outbox.Runs, Only: sqlexpr.ToStream, Sink: streams, Tasks: true, Redeliver: time.Hour,
			Encode: encode,
		},
	}, relay.Config{})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	s := &station{Relay: r, cancel: cancel}
	s.parts.Go(func() { r.Run(ctx) })
	s.parts.Go(func() { outbox.Listen(ctx, pool.Config().ConnString(), r.Wake, func(error) {}) })
	return s, nil
}

func (s *station) stop() {
	s.cancel()
	s.parts.Wait()
}
