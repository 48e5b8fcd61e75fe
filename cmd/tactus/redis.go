package main

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5/pgxpool"
	goredis "github.com/redis/go-redis/v9"

	"github.com/tactus-dev/tactus/internal/redis"
)

// filesFlags say by which files connections to Redis with TLS are made that do not name them in their URLs.
type filesFlags struct {
	CACerts     string `name:"redis-ssl-ca-certs" env:"TACTUS_REDIS_SSL_CA_CERTS" placeholder:"FILE" help:"Who may have signed the certificates of Redis, where a rediss:// URL has no ssl_ca_certs (default the system's)."`
	Certificate string `name:"redis-ssl-certfile" env:"TACTUS_REDIS_SSL_CERTFILE" placeholder:"FILE" help:"Certificate for Redis, where a rediss:// URL has no ssl_certfile."`
	Key         string `name:"redis-ssl-keyfile" env:"TACTUS_REDIS_SSL_KEYFILE" placeholder:"FILE" help:"Its key (default in the same file)."`
}

// with adds the files to a URL, if there is one.
func (f filesFlags) with(url secret) secret {
	if !url.isSet() {
		return url
	}
	return secretOf(redis.Files{CACerts: f.CACerts, Certificate: f.Certificate, Key: f.Key}.URL(url.reveal()))
}

// redisFlags say where events and tasks go.
type redisFlags struct {
	RedisURL  secret `env:"REDIS_URL" placeholder:"URL" help:"Redis for events, redis://user:password@host:port/db; rediss:// with TLS; also unix://, redis+sentinel://, redis+cluster:// (docs/operation.md); or REDIS_URL_FILE, a file with it."`
	BrokerURL secret `name:"celery-broker-url" env:"CELERY_BROKER_URL" placeholder:"URL" help:"Redis of the Celery workers, a URL as REDIS_URL but no Cluster (default REDIS_URL); or CELERY_BROKER_URL_FILE, a file with it."`
	Prefix    string `name:"key-prefix" env:"TACTUS_KEY_PREFIX" help:"What all keys of tactus itself begin with, where installations share a database of Redis (it does not rename queues, nor the channel)."`
	Channel   string `name:"celery-beat-redis-channel" env:"CELERY_BEAT_REDIS_CHANNEL" default:"celery_beat_schedule_updates" help:"Pub/Sub channel of the notices for listeners that exist already."`
	filesFlags
}

func (f redisFlags) validate() error {
	if !f.RedisURL.isSet() {
		return usage("REDIS_URL is not set: give the URL of a Redis, redis://user:password@host:port/db")
	}
	return nil
}

// events is the URL of the Redis for events.
func (f redisFlags) events() secret { return f.with(f.RedisURL) }

func (f redisFlags) broker() secret {
	if f.BrokerURL.isSet() {
		return f.with(f.BrokerURL)
	}
	return f.events()
}

// stream is the key of the events.
func (f redisFlags) stream() string { return f.Prefix + redis.EventStream }

// eventSink is what relay_batches calls the sink of the events.
const eventSink = "events"

// connectBoth opens what the tools compare: PostgreSQL and the Redis of the events.
func connectBoth(ctx context.Context, database databaseFlags, to redisFlags) (*pgxpool.Pool, goredis.UniversalClient, error) {
	if err := errors.Join(database.validate(), to.validate()); err != nil {
		return nil, nil, err
	}
	client, err := redis.Connect(to.events().reveal())
	if err != nil {
		return nil, nil, usage("%v", to.RedisURL.fault(err))
	}
	pool, err := database.open(ctx)
	if err != nil {
		return nil, nil, errors.Join(err, client.Close())
	}
	return pool, client, nil
}
