package pages

import (
	"context"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/access"
	"github.com/tactus-dev/tactus/internal/bodies"
	"github.com/tactus-dev/tactus/internal/catalog"
	"github.com/tactus-dev/tactus/internal/notify"
	"github.com/tactus-dev/tactus/internal/telemetry"
	"github.com/tactus-dev/tactus/outbox"
)

// Config has what the pages are built on.
type Config struct {
	Store        *outbox.Store
	Catalog      *catalog.Catalog
	Timezone     string // the time zone of new schedules that name none
	Check        domain.Check
	DefaultQueue string // the queue of runs that name none; "celery" if empty
	Log          *slog.Logger
	Ready        func(context.Context) map[string]string // why the process is not ready, as in /readyz
	Provider     string                                  // the address for logging in without a key; empty if there is none
	Description  []byte                                  // the OpenAPI 3.1 description of the API, for /docs
	Elsewhere    http.Handler                            // handles addresses that are no pages, for clients other than browsers
	Rules        *notify.Store                           // the notification rules; nil if the pages do not handle them
	Letters      Letters                                 // the dead letters; nil if the pages do not handle them
	Keys         *access.Keys
	Bodies       *bodies.Budget // the budget of the process for bodies; by default one of its own
	RunRetention time.Duration  // how long runs are kept after their due times
	Shadow       Shadowed       // reads what a shadow recorded; nil if pages do not compare it
	Doctor       Doctor         // nil if the database is not examined
	Cancel       Cancelled      // nil if the pages cannot cancel runs
	Moved        Moved          // finds what a change of routes moves; nil if pages do not show it
}

// site serves the pages.
type site struct {
	Config
	bell   *bell
	agenda agenda
	days   *kept[string, catalog.RunSummary] // key: the scope
	pasts  *kept[pastHours, catalog.RunSummary]
	mux    *http.ServeMux
}

// New returns the handler of the pages.
func New(c Config) http.Handler {
	if c.Bodies == nil {
		c.Bodies = bodies.NewBudget(bodies.Most)
	}
	s := &site{Config: c, mux: http.NewServeMux()}
	s.bell, s.agenda = newBell(c.Catalog, c.Log), newAgenda(c.Catalog, c.Log)
	s.days, s.pasts = newLastDays(c.Catalog, c.Log), newPasts(c.Catalog, c.Log)
	s.mux.HandleFunc("GET /assets/{name}", serveAsset)
	s.mux.HandleFunc("GET /login", s.login)
	s.mux.HandleFunc("GET /live", s.live)
	s.mux.HandleFunc("POST /preferences", s.preferences)
	s.overview()
	s.schedules()
	s.schedule()
	s.edit()
	s.runs()
	s.calendar()
	s.log()
	s.system()
	s.docs()
	s.letters()
	s.keys()
	s.moving()
	s.routes()
	s.notifications()
	s.mux.HandleFunc("/", s.notHere)
	return s.guarded(telemetry.Routed(s.mux))
}

// policy is the Content-Security-Policy. It allows what this server sends, but no inline scripts or styles.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// maxForm is the most bytes of a form: a definition may be that large when it is percent-encoded.
const maxForm = 3*domain.MaxPayload + 64<<10

// requestTimeout bounds how long a page waits for the database.
const requestTimeout = 10 * time.Second

func (s *site) guarded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		if r.URL.Path == "/live" {
			next.ServeHTTP(w, r)
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), requestTimeout)
		defer cancel()
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// page handles an address: it returns the name of a template with its data, or an error.
type page func(v *view) (template string, data any, err error)

// The permits of most pages and forms. They need not look at scopes, because the catalog and the store do.
var (
	mayRead  = access.Permit{Role: access.Read, Scoped: true}
	mayWrite = access.Permit{Role: access.Write, Scoped: true}
)

// get serves a page to principals that may read.
func (s *site) get(pattern string, p page) { s.getAs(mayRead, pattern, p) }

// getAs serves a page to principals that have a permit.
func (s *site) getAs(permit access.Permit, pattern string, p page) {
	s.mux.HandleFunc("GET "+pattern, func(w http.ResponseWriter, r *http.Request) {
		v := s.viewOf(w, r)
		if err := permit.Demand(v.ctx()); err != nil {
			v.fail(err)
			return
		}
		if err := readable(r.URL.Query()); err != nil {
			v.fail(err)
			return
		}
		name, data, err := p(v)
		if err != nil {
			v.fail(err)
			return
		}
		v.render(http.StatusOK, name, data)
	})
}

// post handles a form for principals that may write. The handler writes the response or returns an error.
func (s *site) post(pattern string, do func(v *view) error) { s.postAs(mayWrite, pattern, do) }

// postAs handles a form for principals that have a permit.
func (s *site) postAs(permit access.Permit, pattern string, do func(v *view) error) {
	s.mux.HandleFunc("POST "+pattern, func(w http.ResponseWriter, r *http.Request) {
		v := s.viewOf(w, r)
		if err := permit.Demand(v.ctx()); err != nil {
			s.refuseForm(v, err)
			return
		}
		release, err := s.Bodies.ReadForm(w, r, access.Client(r), maxForm)
		defer release()
		if err != nil {
			v.fail(err)
			return
		}
		if err := readable(r.Form); err != nil {
			v.fail(err)
			return
		}
		if err := do(v); err != nil {
			v.fail(err)
		}
	})
}

// readable returns an error if an address or a form has a text that PostgreSQL does not accept: it must be UTF-8
// without U+0000.
func readable(typed url.Values) error {
	for name, values := range typed {
		if !isText(name) || slices.ContainsFunc(values, func(text string) bool { return !isText(text) }) {
			return errNoText
		}
	}
	return nil
}

func isText(s string) bool { return utf8.ValidString(s) && !strings.Contains(s, "\x00") }

var errNoText = &domain.Error{
	Kind: domain.Invalid, Code: "utf8_invalid",
	Message: "what was sent is not UTF-8, or holds the character U+0000: encode it as UTF-8, and leave that character out",
}

// notHere handles addresses that are no pages. Browsers get an HTML page, other clients the answer of the API.
func (s *site) notHere(w http.ResponseWriter, r *http.Request) {
	if s.Elsewhere != nil && !strings.Contains(r.Header.Get("Accept"), "text/html") {
		for _, name := range []string{"Content-Security-Policy", "X-Content-Type-Options", "Referrer-Policy", "Cross-Origin-Opener-Policy"} {
			w.Header().Del(name)
		}
		s.Elsewhere.ServeHTTP(w, r)
		return
	}
	s.viewOf(w, r).fail(errNoPage)
}

var errNoPage = &domain.Error{Kind: domain.NotFound, Code: "not_found", Message: "there is no page at this address"}
