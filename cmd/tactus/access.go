package main

import (
	"cmp"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/tactus-dev/tactus/internal/access"
	"github.com/tactus-dev/tactus/internal/logging"
	"github.com/tactus-dev/tactus/internal/telemetry"
)

// accessFlags say who may call a process.
type accessFlags struct {
	Auth     string        `env:"TACTUS_AUTH" placeholder:"WAYS" help:"How callers say who they are: keys (API keys), oidc (tokens and logins of OpenID Connect), proxy (headers of a trusted proxy), mtls (client certificates), or several, separated by commas; or none: anybody may do everything. It must be set to listen on an address that other machines can reach."`
	Lifetime time.Duration `name:"session-lifetime" env:"TACTUS_SESSION_LIFETIME" default:"12h" help:"How long a login in a browser lasts."`
	Rate     float64       `name:"rate-limit" env:"TACTUS_RATE_LIMIT" default:"100" help:"Requests a second that one caller may send, on average; twice as many at once. 0, or with TACTUS_AUTH=none: any number."`

	Groups       string   `name:"group-roles" env:"TACTUS_GROUP_ROLES" placeholder:"GROUP=ROLE,..." help:"The role of the members of each group, as a token, a proxy or a certificate (its organizational units) names them: ops=admin,dev=write,*=read, where * is everybody."`
	ProxyFrom    []string `name:"proxy-from" env:"TACTUS_PROXY_FROM" placeholder:"ADDRESS" help:"Addresses or networks (10.0.0.0/8) of proxies that are trusted to say who asks, from where, and whether over TLS."`
	UserHeader   string   `name:"proxy-user-header" env:"TACTUS_PROXY_USER_HEADER" placeholder:"HEADER" help:"Header in which a trusted proxy names the user (default X-Forwarded-User). The proxy must take it out of what clients send. Set both headers, or neither."`
	GroupsHeader string   `name:"proxy-groups-header" env:"TACTUS_PROXY_GROUPS_HEADER" placeholder:"HEADER" help:"Header in which a trusted proxy lists the user's groups, separated by commas (default X-Forwarded-Groups). The proxy must take it out of what clients send."`

	Issuer       string   `name:"oidc-issuer" env:"TACTUS_OIDC_ISSUER" placeholder:"URL" help:"URL of the OpenID Connect provider."`
	ClientID     string   `name:"oidc-client-id" env:"TACTUS_OIDC_CLIENT_ID" help:"Id by which the provider knows tactus."`
	ClientSecret secret   `name:"oidc-client-secret" env:"TACTUS_OIDC_CLIENT_SECRET" help:"Secret of the client, where the provider demands one; or TACTUS_OIDC_CLIENT_SECRET_FILE, a file with it."`
	Audience     string   `name:"oidc-audience" env:"TACTUS_OIDC_AUDIENCE" help:"Audience of bearer tokens (default the client's id)."`
	Redirect     string   `name:"oidc-redirect-url" env:"TACTUS_OIDC_REDIRECT_URL" placeholder:"URL" help:"URL of /oidc/callback as browsers reach it; without it nobody can log in by a browser."`
	Scopes       []string `name:"oidc-scopes" env:"TACTUS_OIDC_SCOPES" default:"email,profile" help:"Scopes to ask for, beside openid."`
	UserClaim    string   `name:"oidc-user-claim" env:"TACTUS_OIDC_USER_CLAIM" default:"email" help:"Claim with the user's name; sub where there is none."`
	GroupsClaim  string   `name:"oidc-groups-claim" env:"TACTUS_OIDC_GROUPS_CLAIM" default:"groups" help:"Claim with the user's groups."`

	Cert     string `name:"tls-cert" env:"TACTUS_TLS_CERT" placeholder:"FILE" help:"Certificate (PEM) with which to serve TLS. It is read again when it changes."`
	CertKey  string `name:"tls-key" env:"TACTUS_TLS_KEY" placeholder:"FILE" help:"Private key (PEM) of the certificate."`
	ClientCA string `name:"tls-client-ca" env:"TACTUS_TLS_CLIENT_CA" placeholder:"FILE" help:"Certificates (PEM) of whoever issues those of clients."`
}

func (f accessFlags) validate() error {
	ways, err := access.ParseWays(f.Auth)
	if err != nil {
		return usage("TACTUS_AUTH %v", err)
	}
	if _, err := access.ParseGroups(f.Groups); err != nil {
		return usage("TACTUS_GROUP_ROLES %v", err)
	}
	if _, err := access.ParsePrefixes(f.ProxyFrom); err != nil {
		return usage("TACTUS_PROXY_FROM %v", err)
	}
	switch {
	case ways.Proxy && len(f.ProxyFrom) == 0:
		return usage("TACTUS_AUTH %q: say by TACTUS_PROXY_FROM which proxies are trusted", f.Auth)
	case ways.Proxy && (f.UserHeader == "") != (f.GroupsHeader == ""):
		return usage("TACTUS_PROXY_USER_HEADER %q, TACTUS_PROXY_GROUPS_HEADER %q: set both, and have the proxy take both "+
			"out of what clients send: a client says by the other one who they are", f.UserHeader, f.GroupsHeader)
	case ways.Certificates && (f.ClientCA == "" || f.Cert == ""):
		return usage("TACTUS_AUTH %q: mtls needs TACTUS_TLS_CERT, TACTUS_TLS_KEY and TACTUS_TLS_CLIENT_CA", f.Auth)
	case (f.Cert == "") != (f.CertKey == ""):
		return usage("TACTUS_TLS_CERT and TACTUS_TLS_KEY: give both, or neither")
	case f.Cert == "" && f.ClientCA != "":
		return usage("TACTUS_TLS_CLIENT_CA needs TACTUS_TLS_CERT and TACTUS_TLS_KEY")
	case ways.OIDC && (f.Issuer == "" || f.ClientID == ""):
		return usage("TACTUS_AUTH %q: oidc needs TACTUS_OIDC_ISSUER and TACTUS_OIDC_CLIENT_ID", f.Auth)
	case f.Redirect != "" && !strings.HasSuffix(f.Redirect, "/oidc/callback"):
		return usage("TACTUS_OIDC_REDIRECT_URL %q: want https://HOST/oidc/callback", f.Redirect)
	case (ways.Proxy || ways.Certificates || ways.OIDC) && f.Groups == "":
		return usage("TACTUS_AUTH %q: say by TACTUS_GROUP_ROLES who has which role (*=read: everybody may read)", f.Auth)
	}
	if f.Lifetime < time.Minute {
		return usage("TACTUS_SESSION_LIFETIME %s: want at least a minute", f.Lifetime)
	}
	if !(f.Rate >= 0) {
		return usage("TACTUS_RATE_LIMIT %g: want a number of requests a second, or 0 for any", f.Rate)
	}
	return nil
}

// secured returns a listener that serves TLS if a certificate is configured.
func (f accessFlags) secured(l net.Listener) (net.Listener, error) {
	if f.Cert == "" {
		return l, nil
	}
	config, err := access.TLS(f.Cert, f.CertKey, f.ClientCA)
	if err != nil {
		return nil, usage("TACTUS_TLS_CERT, TACTUS_TLS_KEY, TACTUS_TLS_CLIENT_CA: %v", err)
	}
	return tls.NewListener(l, config), nil
}

// scheme returns the scheme of the process's own addresses.
func (f accessFlags) scheme() string {
	if f.Cert != "" {
		return "https"
	}
	return "http"
}

// guard returns the guard, which finds out who sent a request.
func (f accessFlags) guard(
	pool *pgxpool.Pool, log *slog.Logger, registry prometheus.Registerer,
) (*access.Guard, error) {
	ways, err := access.ParseWays(f.Auth)
	if err != nil {
		return nil, usage("TACTUS_AUTH %v", err)
	}
	groups, err := access.ParseGroups(f.Groups)
	if err != nil {
		return nil, usage("TACTUS_GROUP_ROLES %v", err)
	}
	from, err := access.ParsePrefixes(f.ProxyFrom)
	if err != nil {
		return nil, usage("TACTUS_PROXY_FROM %v", err)
	}
	return access.New(pool, access.Config{
		Ways: ways, Lifetime: f.Lifetime, Rate: f.Rate, Groups: groups,
		OIDC: access.OIDC{
			Issuer: f.Issuer, ClientID: f.ClientID, ClientSecret: f.ClientSecret.reveal(), Audience: f.Audience,
			Redirect: f.Redirect, Scopes: f.Scopes, UserClaim: f.UserClaim, GroupsClaim: f.GroupsClaim,
		},
		Proxies: access.Proxies{
			From: from, UserHeader: cmp.Or(f.UserHeader, "X-Forwarded-User"),
			GroupsHeader: cmp.Or(f.GroupsHeader, "X-Forwarded-Groups"),
		},
	}, log, registry), nil
}

// operators returns a mux for operators: /livez, /readyz, /metrics and /log-level. The reasons why a process is not
// ready are logged, and shown only to principals that may read everything.
func operators(health *telemetry.Health, registry *prometheus.Registry, log *logging.Log) *http.ServeMux {
	health.Tell(func(r *http.Request) bool {
		return access.Permit{Role: access.Read}.Demand(r.Context()) == nil
	}, log.Logger)
	registry.MustRegister(telemetry.Conditions{Health: health})
	mux := telemetry.Mux(health, registry)
	mountLogLevel(mux, log)
	return mux
}

// guarded puts a guard in front of a mux. /livez and /readyz stay open, because supervisors of processes have no key;
// /metrics is for principals that may read everything.
func guarded(guard *access.Guard, mux *http.ServeMux) http.Handler {
	handler := telemetry.Routed(mux)
	metrics := access.Require(access.Read, handler)
	return guard.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/metrics" {
			metrics.ServeHTTP(w, r)
			return
		}
		handler.ServeHTTP(w, r)
	}))
}
