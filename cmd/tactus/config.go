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

// databaseFlags say where PostgreSQL is.
type databaseFlags struct {
	DatabaseURL secret `env:"DATABASE_URL" placeholder:"URL" help:"PostgreSQL, postgres://user:password@host:port/database; or DATABASE_URL_FILE, a file with it."`
}

func (f databaseFlags) validate() error {
	if !f.DatabaseURL.isSet() {
		return usage("DATABASE_URL is not set: give the URL of a PostgreSQL database, postgres://user:password@host:port/database")
	}
	return f.DatabaseURL.checkDatabase("DATABASE_URL")
}

// open opens a pool, which connects when it is used.
func (f databaseFlags) open(ctx context.Context) (*pgxpool.Pool, error) {
	if err := f.validate(); err != nil {
		return nil, err
	}
	pool, err := postgres.Open(ctx, f.DatabaseURL.reveal())
	if err != nil {
		return nil, usage("DATABASE_URL: %v", f.DatabaseURL.fault(err))
	}
	return pool, nil
}

// connect opens a pool and tells health about it.
func (f databaseFlags) connect(ctx context.Context, health *telemetry.Health) (*pgxpool.Pool, error) {
	pool, err := f.open(ctx)
	if err != nil {
		return nil, err
	}
	health.Add("postgres", func(ctx context.Context) error { return migrations.Ready(ctx, pool) })
	health.Fact("zone data", zones())
	return pool, nil
}

// httpFlags say where a process listens.
type httpFlags struct {
	HTTPAddr string   `name:"http-addr" env:"TACTUS_HTTP_ADDR" placeholder:"HOST:PORT" help:"Where to listen (default 127.0.0.1, port 8000 api, 8001 relay, 8002 beat)."`
	Hosts    []string `name:"allowed-hosts" env:"TACTUS_ALLOWED_HOSTS" placeholder:"HOST" help:"Names by which requests may call this process, besides those of this machine and, where others can call, addresses; *.HOST for those below one, * for any."`
	Auth     string   `env:"TACTUS_AUTH" help:"Who may call: none, said explicitly, is needed to listen beyond this machine."`
}

// listen opens the address, and returns the names by which requests may call it.
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
	return l, hosts, nil
}

// address refuses one that other machines reach, unless it was said who may call.
func (f httpFlags) address(otherwise string) (string, error) {
	addr := f.HTTPAddr
	if addr == "" {
		addr = otherwise
	}
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return "", usage("TACTUS_HTTP_ADDR %q: want HOST:PORT", addr)
	}
	if f.Auth != "" && f.Auth != "none" {
		return "", usage("TACTUS_AUTH %q: the only value is none; put a proxy that authenticates in front", f.Auth)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) && f.Auth == "" {
		return "", usage("TACTUS_HTTP_ADDR %s can be reached from other machines: say who may call with TACTUS_AUTH (none: anybody)", addr)
	}
	return addr, nil
}

// timezoneFlag is the zone of schedules that name none.
type timezoneFlag struct {
	Timezone string `name:"celery-timezone" env:"CELERY_TIMEZONE" default:"UTC" help:"Zone of new schedules that name none, kept with them."`
}

func (f timezoneFlag) validate() error {
	if _, err := zone.Load(f.Timezone); err != nil {
		return usage("CELERY_TIMEZONE: %v", err)
	}
	return nil
}

// started tells the log with what a process runs.
func started(log *slog.Logger, process string, l net.Listener, settings ...any) {
	log.Info(process+" started", append([]any{"http", "http://" + l.Addr().String(), "zone_data", zones()}, settings...)...)
}
