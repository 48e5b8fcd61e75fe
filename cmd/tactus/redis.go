package main

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5/pgxpool"
	goredis "github.com/redis/go-redis/v9"

	"github.com/tactus-dev/tactus/internal/redis"
)

// redisFlags say where events and tasks go.
type redisFlags struct {
	RedisURL  secret `env:"REDIS_URL" placeholder:"URL" help:"Redis for events, redis://user:password@host:port/db; or REDIS_URL_FILE, a file with it."`
	BrokerURL secret `name:"celery-broker-url" env:"CELERY_BROKER_URL" placeholder:"URL" help:"Redis of the Celery workers (default REDIS_URL); or CELERY_BROKER_URL_FILE, a file with it."`
	Prefix    string `name:"key-prefix" env:"TACTUS_KEY_PREFIX" help:"What all keys of tactus itself begin with, where installations share a database of Redis (it does not rename queues, nor the channel)."`
	Channel   string `name:"celery-beat-redis-channel" env:"CELERY_BEAT_REDIS_CHANNEL" default:"celery_beat_schedule_updates" help:"Pub/Sub channel of the notices for listeners that exist already."`
}

func (f redisFlags) validate() error {
	if !f.RedisURL.isSet() {
		return usage("REDIS_URL is not set: give the URL of a Redis, redis://user:password@host:port/db")
	}
	return nil
}

func (f redisFlags) broker() secret {
	if f.BrokerURL.isSet() {
		return f.BrokerURL
	}
	return f.RedisURL
}

// stream is the key of the events.
func (f redisFlags) stream() string { return f.Prefix + redis.EventStream }

// eventSink is what relay_batches calls the sink of the events.
const eventSink = "events"

// connectBoth opens what the tools compare: PostgreSQL and the Redis of the events.
func connectBoth(ctx context.Context, database databaseFlags, events redisFlags) (*pgxpool.Pool, goredis.UniversalClient, error) {
	if err := errors.Join(database.validate(), events.validate()); err != nil {
		return nil, nil, err
	}
	client, err := redis.Connect(events.RedisURL.reveal())
	if err != nil {
		return nil, nil, usage("%v", events.RedisURL.fault(err))
	}
	pool, err := database.open(ctx)
	if err != nil {
		return nil, nil, errors.Join(err, client.Close())
	}
	return pool, client, nil
}
