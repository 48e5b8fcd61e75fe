package main

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5/pgxpool"
	goredis "github.com/redis/go-redis/v9"

	"github.com/tactus-dev/tactus/internal/redis"
	"github.com/tactus-dev/tactus/internal/renewed"
)

// filesFlags name the TLS files for connections to Redis whose URLs name none.
type filesFlags struct {
	CACerts     string `name:"redis-ssl-ca-certs" env:"TACTUS_REDIS_SSL_CA_CERTS" placeholder:"FILE" help:"CA certificates that Redis' certificate must be signed by, where a rediss:// URL has no ssl_ca_certs (default the system's)."`
	Certificate string `name:"redis-ssl-certfile" env:"TACTUS_REDIS_SSL_CERTFILE" placeholder:"FILE" help:"Client certificate for Redis, where a rediss:// URL has no ssl_certfile."`
	Key         string `name:"redis-ssl-keyfile" env:"TACTUS_REDIS_SSL_KEYFILE" placeholder:"FILE" help:"Key of the client certificate (default in the same file)."`
}

// with adds the files to a URL. It leaves a URL that is not set as it is.
func (f filesFlags) with(url secret) secret {
	if !url.isSet() {
		return url
	}
	whole := redis.Files{CACerts: f.CACerts, Certificate: f.Certificate, Key: f.Key}.URL(url.reveal())
	renewed.Keep(whole, renewed.PathOf(url.reveal()))
	return secretOf(whole)
}

// redisFlags name the Redis servers of events and of tasks.
type redisFlags struct {
	RedisURL  secret `env:"REDIS_URL" placeholder:"URL" help:"Redis for events, redis://user:password@host:port/db; rediss:// with TLS; also unix://, redis+sentinel://, redis+cluster:// (docs/operation.md); or REDIS_URL_FILE, a file with it."`
	BrokerURL secret `name:"celery-broker-url" env:"CELERY_BROKER_URL" placeholder:"URL" help:"Redis of the Celery workers, a URL like REDIS_URL but not of a Cluster (default REDIS_URL); or CELERY_BROKER_URL_FILE, a file with it."`
	Prefix    string `name:"key-prefix" env:"TACTUS_KEY_PREFIX" help:"Prefix of all of tactus' own keys, for installations that share a Redis database. It does not rename queues or the channel."`
	Channel   string `name:"celery-beat-redis-channel" env:"CELERY_BEAT_REDIS_CHANNEL" default:"celery_beat_schedule_updates" help:"Pub/Sub channel of the notices of changes, for existing listeners."`
	filesFlags
}

func (f redisFlags) validate() error {
	if !f.RedisURL.isSet() {
		return usage("REDIS_URL is not set: give the URL of a Redis, redis://user:password@host:port/db")
	}
	return nil
}

// events returns the URL of the Redis of events.
func (f redisFlags) events() secret { return f.with(f.RedisURL) }

func (f redisFlags) broker() secret {
	if f.BrokerURL.isSet() {
		return f.with(f.BrokerURL)
	}
	return f.events()
}

// stream returns the key of the event stream.
func (f redisFlags) stream() string { return f.Prefix + redis.EventStream }

// eventSink is the name of the event stream's sink in relay_batches.
const eventSink = "events"

// connectBoth connects to PostgreSQL and to the Redis of events, for the tools that compare the two.
func connectBoth(ctx context.Context, database databaseFlags, to redisFlags) (*pgxpool.Pool, goredis.UniversalClient,
	error,
) {
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
