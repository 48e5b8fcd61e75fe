package main

import (
	"context"
	"errors"
	"log/slog"

	"github.com/tactus-dev/tactus/internal/redis"
	"github.com/tactus-dev/tactus/relay"
	"github.com/tactus-dev/tactus/relay/ledger"
)

// owned is a sink that knows which installation it belongs to.
type owned interface {
	relay.Claimer
	TakeOver(ctx context.Context) (installation string, err error)
	Place() string
}

// takeOver makes all sinks belong to this installation. From then on they refuse a relay of the previous one.
func (c relayCmd) takeOver(ctx context.Context, to console, log *slog.Logger) error {
	pool, events, err := connectBoth(ctx, c.databaseFlags, c.redisFlags)
	if err != nil {
		return err
	}
	defer pool.Close()
	defer events.Close()
	broker, err := redis.ConnectBroker(c.broker().reveal())
	if err != nil {
		return usage("%v", c.broker().fault(err))
	}
	defer broker.Close()
	owner, err := ledger.ReadOwner(ctx, pool)
	if err != nil {
		return err
	}
	if owner.Installation == "" || owner.Server == "" {
		return errors.New("take over: the database is a standby, or its schema is older than this program: promote " +
			"it, or run tactus migrate")
	}
	routes, err := c.routes(eventStream(events, c.redisFlags, log), events, broker, c.redisFlags, log, nil)
	if err != nil {
		return err
	}
	for _, r := range routes {
		sink, ok := r.Sink.(owned)
		if !ok {
			continue
		}
		sink.Claim(owner)
		was, err := sink.TakeOver(ctx)
		if err != nil {
			return err
		}
		if err := ledger.Allow(ctx, pool, sink.Place()); err != nil {
			return err
		}
		tellOwner(to, r.Name, was, owner.Installation)
	}
	return nil
}

func tellOwner(to console, sink, was, is string) {
	switch was {
	case "", is:
		say(to.out, "%s is this installation's (%s)\n", sink, text(is))
	default:
		say(to.out, "%s is this installation's now (%s), and was that of %s\n", sink, text(is), text(was))
	}
}
