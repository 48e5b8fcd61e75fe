package main

import (
	"context"
	"log/slog"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/tactus-dev/tactus/internal/adopt"
)

// mend keeps the schedules of adopted tables equal to their rows until ctx ends.
func mend(ctx context.Context, pool *pgxpool.Pool, log *slog.Logger, registry prometheus.Registerer) error {
	upkeep := adopt.NewUpkeep(pool, log)
	if err := upkeep.Register(registry); err != nil {
		return err
	}
	return upkeep.Run(ctx)
}
