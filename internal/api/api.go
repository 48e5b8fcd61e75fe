package api

import (
	"cmp"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/access"
	"github.com/tactus-dev/tactus/internal/bodies"
	"github.com/tactus-dev/tactus/internal/catalog"
	"github.com/tactus-dev/tactus/internal/celery"
	"github.com/tactus-dev/tactus/internal/notify"
	"github.com/tactus-dev/tactus/internal/telemetry"
	"github.com/tactus-dev/tactus/outbox"
)

// server answers the operations.
type server struct {
	pool     *pgxpool.Pool
	store    *outbox.Store
	catalog  *catalog.Catalog
	access   *access.Keys
	rules    *notify.Store
	timezone string
	check    domain.Check
	workers  celery.Config
	log      *slog.Logger
	streams  *streams
	keepRuns time.Duration
	bodies   *judges
}

// Limits are the most event streams that may be open at once, and how long runs are kept after their due times; zero
// members mean 128, 16 and 90 days.
type Limits struct {
	Streams, StreamsPerClient int
	RunRetention              time.Duration
	Bodies                    *bodies.Budget   // of the process; one of its own unless given
	Catalog                   *catalog.Catalog // of the process; one of its own unless given
}

// huma keeps the constructor of its errors, and whether lists may be null, in global variables, which running servers
// read. So they are set here, before any server runs.
func init() {
	huma.NewError = refusal
	huma.DefaultArrayNullable = false // lists in answers are never null
}

// New returns the handler of /api/v1 and /openapi.json. The caller closes the pool. timezone is the time zone of new
// schedules that name none. workers says how the Celery workers are set up; a task that could not be delivered to them
// is refused. telemetry.Serve refuses requests from pages of other origins.
func New(pool *pgxpool.Pool, timezone string, log *slog.Logger, workers celery.Config, limits ...Limits) http.Handler {
	s := &server{
		pool: pool, workers: workers, store: outbox.NewStore(pool, timezone, workers.Check), catalog: catalog.New(pool),
		access: access.NewKeys(pool).Logged(log), rules: notify.NewStore(pool), timezone: timezone, check: workers.Check, log: log, streams: newStreams(limits),
	}
	var held *bodies.Budget
	if len(limits) > 0 {
		s.keepRuns, held = limits[0].RunRetention, limits[0].Bodies
		s.catalog = cmp.Or(limits[0].Catalog, s.catalog)
	}
	if held == nil {
		held = bodies.NewBudget(bodies.Most)
	}
	s.bodies = newJudges(held)
	mux, document := s.register()
	described(mux, document)
	return identified(frugal(tidy(mux, s.bodies.read(telemetry.Routed(mux)))))
}

// register returns a mux that serves the operations, and their description.
func (s *server) register() (*http.ServeMux, *huma.OpenAPI) {
	mux := http.NewServeMux()
	config := huma.DefaultConfig("tactus", "1")
	config.CreateHooks = nil // no $schema member in answers
	config.DocsPath = ""     // its page loads scripts from other servers
	config.OpenAPIPath = ""  // see described
	config.SchemasPath = ""
	config.Components = &huma.Components{Schemas: huma.NewMapRegistry("#/components/schemas/", schemaName)}
	config.RejectUnknownQueryParameters = true
	api := humago.New(mux, config)
	s.schedules(api)
	s.compare(api)
	s.actions(api)
	s.runs(api)
	s.runList(api)
	s.upcoming(api)
	s.bulk(api)
	s.runActions(api)
	s.backfills(api)
	s.due(api)
	s.events(api)
	s.routes(api)
	s.calendars(api)
	s.notifications(api)
	s.keys(api)
	s.changes(api)
	secured(api)
	complete(api.OpenAPI())
	return mux, api.OpenAPI()
}

// maxHeld is the most bytes of documents that open answers hold together, of which each caller has a share. Decoding
// and encoding take about four times as much.
const maxHeld = 64 << 20

// frugal counts what answers to reads hold until they are sent. What was written is always answered.
func frugal(next http.Handler) http.Handler {
	budget := catalog.NewBudget(maxHeld)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			ctx, sent := budget.Open(r.Context(), access.Client(r))
			defer sent()
			r = r.WithContext(ctx)
		}
		next.ServeHTTP(w, r)
	})
}

// tidy ignores trailing slashes, refuses addresses that are not UTF-8 text, and answers requests without an operation
// with a problem document.
func tidy(mux *http.ServeMux, operations http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w = &answerOnce{ResponseWriter: w}
		if f := unreadable(r); f != nil {
			problemTo(w, newProblem(http.StatusBadRequest, *f))
			return
		}
		r = withoutTrailingSlashes(r)
		r.Header.Set("Content-Type", "application/json") // bodies are read as JSON whatever their content type
		handler, pattern := mux.Handler(r)
		if pattern != "" {
			operations.ServeHTTP(w, r)
			return
		}
		answer := &statusOnly{header: http.Header{}}
		handler.ServeHTTP(answer, r)
		if allow := answer.header.Get("Allow"); allow != "" {
			w.Header().Set("Allow", allow)
		}
		writeProblem(w, answer.status)
	})
}

// withoutTrailingSlashes works on the address as it was sent, because an escaped slash is part of a name.
func withoutTrailingSlashes(r *http.Request) *http.Request {
	sent := r.URL.EscapedPath()
	escaped := strings.TrimRight(sent, "/")
	path, err := url.PathUnescape(escaped)
	if escaped == "" || escaped == sent || err != nil {
		return r
	}
	r = r.Clone(r.Context())
	r.URL.Path, r.URL.RawPath = path, escaped
	return r
}

// answerOnce keeps the first status of an answer. The framework sets a second one when the client disconnects in the
// middle of the answer.
type answerOnce struct {
	http.ResponseWriter
	answered bool
}

func (a *answerOnce) WriteHeader(status int) {
	if !a.answered {
		a.answered = status >= http.StatusOK // informational statuses precede the answer
		a.ResponseWriter.WriteHeader(status)
	}
}

func (a *answerOnce) Write(b []byte) (int, error) {
	a.answered = true
	return a.ResponseWriter.Write(b)
}

// Unwrap is for http.ResponseController.
func (a *answerOnce) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// statusOnly records the status and headers that the mux would answer.
type statusOnly struct {
	header http.Header
	status int
}

func (a *statusOnly) Header() http.Header         { return a.header }
func (a *statusOnly) Write(b []byte) (int, error) { return len(b), nil }
func (a *statusOnly) WriteHeader(status int)      { a.status = status }
