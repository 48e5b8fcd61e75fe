package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tactus-dev/tactus/domain/zone"
	"github.com/tactus-dev/tactus/internal/postgres"
	"github.com/tactus-dev/tactus/internal/telemetry"
	"github.com/tactus-dev/tactus/migrations"
)

// databaseFlags name the PostgreSQL database.
type databaseFlags struct {
	DatabaseURL secret `env:"DATABASE_URL" placeholder:"URL" help:"PostgreSQL, postgres://user:password@host:port/database; or DATABASE_URL_FILE, a file with it."`
}

func (f databaseFlags) validate() error {
	if !f.DatabaseURL.isSet() {
		return usage("DATABASE_URL is not set: give the URL of a PostgreSQL database, " +
			"postgres://user:password@host:port/database")
	}
	return f.DatabaseURL.checkDatabase("DATABASE_URL")
}

// open opens a pool. The pool connects on its first use.
func (f databaseFlags) open(ctx context.Context) (*pgxpool.Pool, error) {
	return f.openBy(func(url string) (*pgxpool.Pool, error) { return postgres.Open(ctx, url) })
}

// openBounded opens a pool on which no statement waits for a lock for long.
func (f databaseFlags) openBounded(ctx context.Context) (*pgxpool.Pool, error) {
	return f.openBy(func(url string) (*pgxpool.Pool, error) { return postgres.OpenBounded(ctx, url, longestLock) })
}

func (f databaseFlags) openBy(opening func(url string) (*pgxpool.Pool, error)) (*pgxpool.Pool, error) {
	if err := f.validate(); err != nil {
		return nil, err
	}
	pool, err := opening(f.DatabaseURL.reveal())
	if err != nil {
		return nil, usage("DATABASE_URL: %v", f.DatabaseURL.fault(err))
	}
	return pool, nil
}

// connect opens a pool by calling opening, and adds a check of the database to health. The check uses a connection of
// its own from looks, so that it does not wait for connections that requests hold. If the check finds that somebody
// else may change the schema, all connections of the pool, and of the pools beside it, are closed.
func (f databaseFlags) connect(ctx context.Context, health *telemetry.Health,
	opening func(context.Context) (*pgxpool.Pool, error), beside ...*pgxpool.Pool,
) (pool, looks *pgxpool.Pool, err error) {
	if pool, err = opening(ctx); err != nil {
		return nil, nil, err
	}
	if looks, err = postgres.OpenOne(ctx, f.DatabaseURL.reveal()); err != nil {
		pool.Close()
		return nil, nil, usage("DATABASE_URL: %v", f.DatabaseURL.fault(err))
	}
	health.Add("postgres", func(ctx context.Context) error {
		err := migrations.Ready(ctx, looks)
		if errors.Is(err, postgres.ErrForeign) {
			for _, with := range append([]*pgxpool.Pool{pool}, beside...) {
				with.Reset()
			}
		}
		return err
	})
	health.Fact("zone data", zones())
	return pool, looks, nil
}

// httpFlags say where a process listens, and who may call it.
type httpFlags struct {
	HTTPAddr string   `name:"http-addr" env:"TACTUS_HTTP_ADDR" placeholder:"HOST:PORT" help:"Address to listen on (default 127.0.0.1 with port 8000 for api, 8001 for relay, 8002 for beat)."`
	Hosts    []string `name:"allowed-hosts" env:"TACTUS_ALLOWED_HOSTS" placeholder:"HOST" help:"Host names that requests may use for this process, besides this machine's own names and, where other machines can reach it, IP addresses; *.HOST allows subdomains, * any name."`
	accessFlags
	profileFlags
	logFlags
	Otel tracingFlags `embed:"" prefix:"otel-" envprefix:"OTEL_"`
}

// listen opens the address, and returns the host names that requests may use. otherwise is the address when none is
// set.
func (f httpFlags) listen(otherwise string) (net.Listener, telemetry.Hosts, error) {
	addr, err := f.address(otherwise)
	if err != nil {
		return nil, telemetry.Hosts{}, err
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, telemetry.Hosts{}, fmt.Errorf("listen on TACTUS_HTTP_ADDR: %w", err)
	}
	hosts, err := telemetry.NewHosts(l.Addr(), f.Hosts)
	if err != nil {
		return nil, hosts, errors.Join(usage("TACTUS_ALLOWED_HOSTS %v", err), l.Close())
	}
	secured, err := f.secured(l)
	if err != nil {
		return nil, hosts, errors.Join(err, l.Close())
	}
	return secured, hosts, nil
}

// address returns the address to listen on. It refuses one that other machines can reach unless TACTUS_AUTH says who
// may call.
func (f httpFlags) address(otherwise string) (string, error) {
	addr := f.HTTPAddr
	if addr == "" {
		addr = otherwise
	}
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return "", usage("TACTUS_HTTP_ADDR %q: want HOST:PORT", addr)
	}
	if err := errors.Join(f.accessFlags.validate(), f.profileFlags.validate()); err != nil {
		return "", err
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) && f.Auth == "" {
		return "", usage("TACTUS_HTTP_ADDR %s can be reached from other machines: say who may call with TACTUS_AUTH "+
			"(keys: whoever has an API key; none: anybody)", addr)
	}
	return addr, nil
}

// timezoneFlag is the zone of schedules that name none.
type timezoneFlag struct {
	Timezone string `name:"celery-timezone" env:"CELERY_TIMEZONE" default:"UTC" help:"Time zone of new schedules that name none; each schedule keeps it."`
}

func (f timezoneFlag) validate() error {
	if _, err := zone.Load(f.Timezone); err != nil {
		return usage("CELERY_TIMEZONE: %v", err)
	}
	return nil
}

// started logs the start of a process with its settings.
func started(log *slog.Logger, process string, l net.Listener, settings ...any) {
	scheme := "http"
	if _, plain := l.(*net.TCPListener); !plain {
		scheme = "https"
	}
	log.Info(process+" started", append([]any{"http", scheme + "://" + l.Addr().String(), "zone_data", zones()},
		settings...)...)
}
