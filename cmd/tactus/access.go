package main

import (
	"log/slog"
	"net/http"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/tactus-dev/tactus/internal/access"
)

// accessFlags say who may call a process.
type accessFlags struct {
	Auth     string        `env:"TACTUS_AUTH" placeholder:"WAYS" help:"How callers say who they are: keys (API keys), or none: anybody may do everything. It must be set to listen on an address that other machines can reach."`
	Lifetime time.Duration `name:"session-lifetime" env:"TACTUS_SESSION_LIFETIME" default:"12h" help:"How long a login in a browser lasts."`
	Rate     float64       `name:"rate-limit" env:"TACTUS_RATE_LIMIT" default:"100" help:"Requests a second that one caller may send, on average; twice as many at once. 0: any number."`
}

func (f accessFlags) validate() error {
	if _, err := access.ParseWays(f.Auth); err != nil {
		return usage("TACTUS_AUTH %v", err)
	}
	if f.Lifetime < time.Minute {
		return usage("TACTUS_SESSION_LIFETIME %s: want at least a minute", f.Lifetime)
	}
	if !(f.Rate >= 0) {
		return usage("TACTUS_RATE_LIMIT %g: want a number of requests a second, or 0 for any", f.Rate)
	}
	return nil
}

// guard returns who finds out of whom requests are.
func (f accessFlags) guard(pool *pgxpool.Pool, log *slog.Logger, registry prometheus.Registerer) (*access.Guard, error) {
	ways, err := access.ParseWays(f.Auth)
	if err != nil {
		return nil, usage("TACTUS_AUTH %v", err)
	}
	return access.New(pool, access.Config{Ways: ways, Lifetime: f.Lifetime, Rate: f.Rate}, log, registry), nil
}

// guarded serves a process's addresses to those who may call them. /livez and /readyz are open, because what looks
// after processes has no key; /metrics is for whoever may read everything.
func guarded(guard *access.Guard, handler http.Handler) http.Handler {
	metrics := access.Require(access.Read, handler)
	return guard.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/metrics" {
			metrics.ServeHTTP(w, r)
			return
		}
		handler.ServeHTTP(w, r)
	}))
}
