package main

import (
	"context"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tactus-dev/tactus/internal/adopt"
)

const mendEvery = 5 * time.Second

// mend tries again, until ctx ends, what the triggers on adopted tables could not write.
func mend(ctx context.Context, pool *pgxpool.Pool, log *slog.Logger) error {
	tick := time.NewTicker(mendEvery)
	defer tick.Stop()
	for {
		left, err := adopt.Mend(ctx, pool)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			log.Warn("adopted tables cannot be mended", "err", err)
		case left > 0:
			log.Error("changes of adopted tables could not be taken in: see tactus.adopt_failures", "lag", left)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}
