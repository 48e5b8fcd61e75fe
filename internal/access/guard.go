package access

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/bodies"
	"github.com/tactus-dev/tactus/internal/shares"
	"github.com/tactus-dev/tactus/outbox"
)

// Ways are the ways by which callers say who they are. Without any, everybody is Anonymous.
type Ways struct{ Keys, Proxy, Certificates, OIDC bool }

// ParseWays parses TACTUS_AUTH: none, or ways separated by commas.
func ParseWays(text string) (w Ways, err error) {
	names := strings.Split(text, ",")
	for _, name := range names {
		switch strings.TrimSpace(name) {
		case "", "none":
			if len(names) > 1 {
				return Ways{}, fmt.Errorf("%q: none stands alone", text)
			}
		case "keys":
			w.Keys = true
		case "proxy":
			w.Proxy = true
		case "oidc":
			w.OIDC = true
		case "mtls":
			w.Certificates = true
		default:
			return Ways{}, fmt.Errorf("%q: want none, or some of keys, oidc, proxy and mtls, separated by commas", text)
		}
	}
	return w, nil
}

// any reports whether callers have to say who they are.
func (w Ways) any() bool { return w != Ways{} }

// open reports whether sessions of a kind of principals are valid. They end when the way by which they were opened is
// closed.
func (w Ways) open(k Kind) bool { return k == Key && w.Keys || k == Subject && w.OIDC }

// Config says how a guard works. Zero members have defaults.
type Config struct {
	Ways     Ways
	Lifetime time.Duration // of a session; 12 hours
	Rate     float64       // requests a second of one principal; 0 for any number
	Proxies  Proxies
	OIDC     OIDC
	Groups   Groups // the roles of those whose groups are known
}

// Guard finds out who sent each request.
type Guard struct {
	config   Config
	log      *slog.Logger
	issuer   *issuer
	keys     *book
	cookies  *book
	sessions *sessions
	failures *throttle
	requests *throttle
	turns    *shares.Turns // at the pool's connections
	failed   *prometheus.CounterVec
	limited  prometheus.Counter
	vary     string // the headers that say who asks
}

// How often one address may send a wrong credential: failureBurst times at once, and then once in failurePause. Beyond
// that it is told to wait.
const (
	failureBurst = 10
	failurePause = 6 * time.Second
)

// mostWaiting is how many requests of one caller may wait for connections.
const mostWaiting = 256

// New returns a guard over a pool that it is lent.
func New(pool *pgxpool.Pool, c Config, log *slog.Logger, metrics prometheus.Registerer) *Guard {
	if c.Lifetime == 0 {
		c.Lifetime = 12 * time.Hour
	}
	g := &Guard{
		config: c, log: log, keys: newBook(pool, findKey, useKey), cookies: newBook(pool, findSession, ""),
		sessions: &sessions{pool, c.Lifetime}, failures: newThrottle(1/failurePause.Seconds(), failureBurst),
		turns: shares.NewTurns(max(1, int(pool.Config().MaxConns)/2)),
		failed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tactus_credentials_refused_total", Help: "Requests and logins whose credential was not good, by reason.",
		}, []string{"reason"}),
		limited: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "tactus_requests_limited_total", Help: "Requests that were refused because their caller sent too many, or had too many waiting.",
		}),
	}
	g.issuer = &issuer{config: c.OIDC}
	g.vary = "Authorization, Cookie"
	if c.Ways.Proxy {
		g.vary += ", " + c.Proxies.UserHeader + ", " + c.Proxies.GroupsHeader
	}
	if c.Rate > 0 {
		g.requests = newThrottle(c.Rate, max(1, 2*c.Rate))
	}
	metrics.MustRegister(g.failed, g.limited)
	return g
}

// isOpen reports whether a path is for everybody. Whoever sends a bad credential there is answered as a stranger.
func isOpen(path string) bool {
	switch path {
	case "/readyz", "/docs", "/openapi.json", "/openapi.yaml", "/openapi-3.0.json", "/openapi-3.0.yaml", "/login":
		return true
	}
	return strings.HasPrefix(path, "/assets/")
}

// Middleware puts the principal of a request into its context. It refuses bad credentials, and principals that send too
// much, except on paths that are for everybody. A request without a credential goes on as Nobody.
func (g *Guard) Middleware(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/livez" {
			next.ServeHTTP(w, r)
			return
		}
		reason, err := textOf(r, reasonHeader, domain.MaxReason)
		who := Principal{}
		if err == nil {
			who, err = g.identify(r)
		}
		if err == nil {
			err = g.admit(r, who)
		}
		if err == nil {
			err = g.queue(r, who)
		}
		if err != nil && isOpen(r.URL.Path) { // /readyz says itself when nobody can be looked up
			who, err = Principal{}, nil
		}
		if err != nil {
			g.answer(w, err)
			return
		}
		if g.config.Ways.any() { // what is answered to one is not for others
			w.Header().Set("Cache-Control", "private")
			w.Header().Set("Vary", g.vary)
		}
		client := g.counted(r, who)
		ctx := context.WithValue(g.turns.Of(r.Context(), client), visitKey{}, visit{g, r, who, client})
		ctx = outbox.WithActor(With(ctx, who), who.Actor(), reason)
		next.ServeHTTP(w, r.WithContext(who.writing(ctx)))
	})
}

// identify returns the principal of a request. The first credential that it has counts. A cookie that has expired
// counts as none, because a browser sends it until it is told otherwise.
func (g *Guard) identify(r *http.Request) (Principal, error) {
	if !g.config.Ways.any() {
		return claimed(r)
	}
	if header := r.Header.Get("Authorization"); header != "" {
		return g.bearer(r, header)
	}
	if cookie := g.sessionOf(r); cookie != "" {
		who, state, found, err := g.cookies.find(r.Context(), cookie, fresh)
		if err != nil || found && state == Active && g.config.Ways.open(who.Kind) {
			return who, err
		}
	}
	if g.config.Ways.Proxy && g.config.Proxies.trusts(r) {
		return g.user(r) // the certificate is the proxy's own
	}
	return g.certified(r), nil
}

var errScheme = &domain.Error{Kind: domain.Unauthenticated, Code: "credentials_invalid", Field: "Authorization", Message: "want Authorization: Bearer KEY"}

func (g *Guard) bearer(r *http.Request, header string) (Principal, error) {
	scheme, token, _ := strings.Cut(header, " ")
	token = strings.TrimSpace(token)
	if !strings.EqualFold(scheme, "Bearer") || token == "" {
		return Principal{}, errScheme
	}
	if g.config.Ways.OIDC && !strings.HasPrefix(token, keyPrefix) {
		return g.token(r, token)
	}
	return g.key(r, token, fresh)
}

// key returns the principal of a key. Each key is looked up, whatever else came from its address, because its holder
// may share the address with somebody who guesses keys.
func (g *Guard) key(r *http.Request, text string, believe time.Duration) (Principal, error) {
	who, state, found, err := g.keys.find(r.Context(), text, believe)
	if err != nil {
		return Principal{}, err
	}
	if !g.config.Ways.Keys || !found {
		err = errUnknown
	} else if err = stateError(state); err == nil {
		return who, nil
	}
	if !found {
		if err := g.wrong(r); err != nil {
			return Principal{}, err
		}
	}
	g.failed.WithLabelValues(reason(state)).Inc()
	g.log.Info("a credential was refused", "client", g.address(r), "reason", reason(state), "key", who.Name)
	return Principal{}, err
}

// wrong counts a credential that never existed, and returns an error when too many came from its address.
func (g *Guard) wrong(r *http.Request) error {
	wait := g.failures.take(g.address(r))
	if wait == 0 {
		return nil
	}
	g.failed.WithLabelValues("too many failures").Inc()
	return tooMany("too_many_failures", "too many wrong credentials came from this address: wait", wait)
}

func stateError(s KeyState) error {
	switch s {
	case Active:
		return nil
	case Revoked:
		return errRevoked
	default:
		return errExpired
	}
}

func reason(s KeyState) string {
	if s == "" || s == Active {
		return "unknown"
	}
	return string(s)
}

// peer returns the address at the other end of the connection.
func peer(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// admit counts a request for its principal. Without credentials there is no limit: all services of a host have one
// address, and by a limit for the address the busiest of them would keep out the others.
func (g *Guard) admit(r *http.Request, who Principal) error {
	if g.requests == nil || who.Kind == Nobody || who.Kind == Anonymous {
		return nil
	}
	name := g.counted(r, who)
	if wait := g.requests.take(name); wait > 0 {
		g.limited.Inc()
		return tooMany("rate_limited", fmt.Sprintf("%s sends more than %g requests a second (TACTUS_RATE_LIMIT): wait", name, g.config.Rate), wait)
	}
	return nil
}

// queue refuses a request when too many of its principal wait already. The request takes its turn when it asks the
// database, and keeps it only meanwhile: bodies that come slowly, and answers that are read slowly, keep no turn.
func (g *Guard) queue(r *http.Request, who Principal) error {
	name := g.counted(r, who)
	if g.turns.Waiting(name) < mostWaiting {
		return nil
	}
	g.limited.Inc()
	return tooMany("too_many_waiting", fmt.Sprintf("%d requests of %s wait for the database already: wait", mostWaiting, name), time.Second)
}

// Require lets through requests of principals that have a role and no scope, for handlers that check neither
// themselves.
func Require(role Role, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := (Permit{Role: role}).Demand(r.Context()); err != nil {
			Answer(w, err)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// lookupFailed reports whether the principal of a request could not be looked up.
func lookupFailed(err error) bool {
	return err != nil && domain.FaultsOf(err) == nil && !isTooMany(err)
}

func (g *Guard) answer(w http.ResponseWriter, err error) {
	if lookupFailed(err) && !errors.Is(err, context.Canceled) {
		g.log.Error("who sends a request could not be looked up", "err", err)
	}
	Answer(w, err)
}

// Login opens a browser's session for the holder of a key, and sets its cookie.
func (g *Guard) Login(w http.ResponseWriter, r *http.Request, key string) (Principal, error) {
	who, err := g.key(r, key, 0)
	if err != nil {
		return Principal{}, err
	}
	return who, g.openSession(w, r, who)
}

// openSession counts a login as a request of its principal: the request itself came without a credential.
func (g *Guard) openSession(w http.ResponseWriter, r *http.Request, who Principal) error {
	if err := g.admit(r, who); err != nil {
		return err
	}
	cookie, err := g.sessions.open(r.Context(), who)
	if err != nil {
		return err
	}
	http.SetCookie(w, g.cookie(r, cookie, g.config.Lifetime))
	return nil
}

// Logout ends the session of a browser, and takes its cookie away.
func (g *Guard) Logout(w http.ResponseWriter, r *http.Request) error {
	cookie := g.sessionOf(r)
	http.SetCookie(w, g.cookie(r, "", 0))
	if cookie == "" {
		return nil
	}
	return g.sessions.close(r.Context(), cookie)
}

// Mount serves POST /login and POST /logout. A page may have a form for each; it is then sent on to next, a path of
// this server.
//
// Anybody may send these forms: they are small, and count in the budget of all bodies.
func (g *Guard) Mount(mux *http.ServeMux, held *bodies.Budget) {
	if g.LoginPath() != "" {
		g.mountOIDC(mux)
	}
	mux.HandleFunc("POST /login", func(w http.ResponseWriter, r *http.Request) {
		if !g.config.Ways.any() {
			Answer(w, errNoLogin)
			return
		}
		release, err := held.ReadForm(w, r, Client(r), bodies.SmallForm)
		defer release()
		if err != nil {
			Answer(w, err)
			return
		}
		if _, err := g.Login(w, r, strings.TrimSpace(r.PostFormValue("key"))); err != nil {
			g.refuse(w, r, err)
			return
		}
		onward(w, r)
	})
	mux.HandleFunc("POST /logout", func(w http.ResponseWriter, r *http.Request) {
		release, err := held.ReadForm(w, r, Client(r), bodies.SmallForm)
		defer release()
		if err == nil {
			err = g.Logout(w, r)
		}
		if err != nil {
			g.answer(w, err)
			return
		}
		onward(w, r)
	})
}

// refuse answers a login that failed. A browser goes back to the page of its form, which tells why.
func (g *Guard) refuse(w http.ResponseWriter, r *http.Request, err error) {
	next := r.PostFormValue("next")
	if !LocalPath(next) || !strings.Contains(r.Header.Get("Accept"), "text/html") {
		g.answer(w, err)
		return
	}
	code := "credentials_invalid"
	if e, ok := errors.AsType[*tooManyError](err); ok {
		code = e.code
	}
	http.Redirect(w, r, "/login?refused="+code+"&next="+url.QueryEscape(next), http.StatusSeeOther)
}

var errNoLogin = &domain.Error{Kind: domain.Conflict, Code: "login_not_needed", Message: "this server lets everybody in (TACTUS_AUTH): there is nothing to log in to"}

// onward redirects a browser to where its form says. Other clients are told that the request succeeded.
func onward(w http.ResponseWriter, r *http.Request) {
	next := r.PostFormValue("next")
	if !LocalPath(next) {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	http.Redirect(w, r, next, http.StatusSeeOther)
}

// LocalPath reports whether a text is a path of this server, and not an address that browsers would take for another
// server's.
func LocalPath(text string) bool {
	return strings.HasPrefix(text, "/") && !strings.HasPrefix(text, "//") &&
		!slices.ContainsFunc([]rune(text), func(r rune) bool { return r == '\\' || r < ' ' })
}
