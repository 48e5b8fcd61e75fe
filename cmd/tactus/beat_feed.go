package main

import (
	"context"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tactus-dev/tactus/internal/redis"
	"github.com/tactus-dev/tactus/relay/ledger"
)

// ownFeed is a feed that refuses the events of another installation.
type ownFeed struct {
	*redis.Feed
	pool *pgxpool.Pool
}

// Subscribe implements beat.Feed.
func (f ownFeed) Subscribe(ctx context.Context, mark string, lost func(reason string)) (<-chan *message.Message,
	error,
) {
	if err := f.claim(ctx); err != nil {
		return nil, err
	}
	return f.Feed.Subscribe(ctx, mark, lost)
}

// claim names this installation, but not its server, as the owner of the feed: a beat on a copy of the database may
// hear a stream that the copy's relay will take over. A stream that names its owner needs no refusals.
func (f ownFeed) claim(ctx context.Context) error {
	owner, err := ledger.ReadInstallation(ctx, f.pool)
	if err != nil {
		return err
	}
	owner.Server = ""
	owner.Refused, owner.Unknown = ledger.ReadRefusals(ctx, f.pool)
	f.Claim(owner)
	return nil
}
