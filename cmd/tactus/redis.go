package main

// redisFlags say where events and tasks go.
type redisFlags struct {
	RedisURL  string `env:"REDIS_URL" placeholder:"URL" help:"Redis for events, redis://user:password@host:port/db."`
	BrokerURL string `name:"celery-broker-url" env:"CELERY_BROKER_URL" placeholder:"URL" help:"Redis of the Celery workers (default REDIS_URL)."`
}

func (f redisFlags) validate() error {
	if f.RedisURL == "" {
		return usage("REDIS_URL is not set: give the URL of a Redis, redis://user:password@host:port/db")
	}
	return nil
}

func (f redisFlags) broker() string {
	if f.BrokerURL != "" {
		return f.BrokerURL
	}
	return f.RedisURL
}

// Names of the event sink: what relay_batches calls it, and its key.
const (
	eventSink   = "events"
	eventStream = "tactus:events"
)
