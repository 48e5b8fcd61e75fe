package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/tactus-dev/tactus/internal/zonewatch"
)

// watchZones compares the time zone data of this process with that of the others until ctx ends.
func watchZones(ctx context.Context, pool *pgxpool.Pool, process string, l net.Listener, log *slog.Logger,
	registry prometheus.Registerer,
) error {
	host, err := os.Hostname()
	if err != nil {
		host = "a host without a name"
	}
	w := zonewatch.New(pool, fmt.Sprintf("%s of %s at %s", process, host, l.Addr()), log)
	if err := w.Register(registry); err != nil {
		return err
	}
	return w.Run(ctx)
}
