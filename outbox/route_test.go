package outbox_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/domain/handover"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/outbox"
)

func putRoutes(t *testing.T, pool *pgxpool.Pool, routes ...domain.Route) {
	t.Helper()
	for _, r := range routes {
		if _, err := outbox.PutRoute(t.Context(), pool, r, "test", nil); err != nil {
			t.Fatal(err)
		}
	}
}

// TestRoutesAreAppliedAsDomainDoes has Postgres route tasks with every set of options by routes with every set of
// options, and compares with domain.Route.
func TestRoutesAreAppliedAsDomainDoes(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	store := outbox.NewStore(pool, "", handover.Limits{}.Check)
	one, two := 1, 2
	routes := []domain.Route{
		{Pattern: "app.queue", Queue: "fast", Priority: &one, ExpiresSeconds: 60, TimeLimitSeconds: 30, SoftTimeLimitSeconds: 20, IgnoreResult: true},
		{Pattern: "app.exchange", Queue: "topical", Exchange: "topics", RoutingKey: "a.b"},
		{Pattern: "app.little", Priority: &one},
	}
	putRoutes(t, pool, routes...)
	for _, r := range routes {
		for n := range 1 << 8 {
			d := definition("")
			d.TaskName = r.Pattern
			for bit, set := range []func(){
				func() { d.Queue = "own" }, func() { d.Exchange, d.RoutingKey = "ours", "k" }, func() { d.Priority = &two }, func() { d.ExpiresSeconds = 5 },
				func() { d.TimeLimitSeconds = 6 }, func() { d.SoftTimeLimitSeconds = 4 }, func() { d.IgnoreRoutes = true }, func() { d.Kwargs = json.RawMessage(`{"queue":"\u0000\ud83d"}`) },
			} {
				if n&(1<<bit) != 0 {
					set()
				}
			}
			if want := r.Apply(d.Task()); !reflect.DeepEqual(triggered(t, pool, store, d), want) {
				t.Errorf("%s, %b: got %+v, want %+v", r.Pattern, n, triggered(t, pool, store, d), want)
			}
		}
	}
	for _, r := range routes {
		for n := range 1 << 3 { // an exchange without a routing key, and the reverse
			d := definition("")
			d.TaskName = r.Pattern
			for bit, set := range []func(){
				func() { d.Exchange = "ours" }, func() { d.RoutingKey = "k" }, func() { d.Queue = "own" },
			} {
				if n&(1<<bit) != 0 {
					set()
				}
			}
			if got, want := triggered(t, pool, store, d), r.Apply(d.Task()); !reflect.DeepEqual(got, want) {
				t.Errorf("%s, %b: got %+v, want %+v", r.Pattern, n, got, want)
			}
		}
	}
	streamed := definition("")
	streamed.TaskName, streamed.Stream = "app.queue", "s"
	if got := triggered(t, pool, store, streamed); got.Queue != "" || got.ExpiresSeconds != 0 || got.Stream != "s" {
		t.Errorf("%+v", got)
	}
}

// triggered is the task that a manual run carries. Its row expires when it says.
func triggered(t *testing.T, pool *pgxpool.Pool, store *outbox.Store, d domain.Definition) domain.Task {
	t.Helper()
	s, err := store.Create(t.Context(), d, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	run, err := store.Trigger(t.Context(), s.ID)
	if err != nil {
		t.Fatal(err)
	}
	var data []byte
	var expires *float64
	if err := pool.QueryRow(t.Context(), `select o.data, extract(epoch from r.expires_at - r.fired_at)::float8 from tactus.outbox o
		join tactus.runs r on r.id = o.aggregate_id where o.topic = 'run' and r.id = $1`, run).Scan(&data, &expires); err != nil {
		t.Fatal(err)
	}
	var due domain.DueRun
	if err := json.Unmarshal(data, &due); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(due.ExpiresSeconds != 0, due.ExpiresSeconds); expires != nil && got != fmt.Sprint(true, int64(*expires)) || expires == nil && due.ExpiresSeconds != 0 {
		t.Errorf("the row expires %v s after it was fired, the task after %d s", expires, due.ExpiresSeconds)
	}
	for _, member := range []string{"queue", "exchange", "routing_key", "priority", "expires_seconds"} {
		if strings.Count(strings.ReplaceAll(string(data), `{"queue":"\u0000`, ""), `"`+member+`":`) > 1 {
			t.Errorf("%s is there twice: %s", member, data)
		}
	}
	return due.Task
}

// TestWhichRoute has several patterns match one name.
func TestWhichRoute(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	store := outbox.NewStore(pool, "", handover.Limits{}.Check)
	queue := func(name string) string {
		t.Helper()
		d := definition("")
		d.TaskName = name
		return triggered(t, pool, store, d).Queue
	}
	if got := queue("feeds.news"); got != "" {
		t.Errorf("without routes it goes to %q", got)
	}
	for _, pattern := range []string{"*", "feeds.*", "feeds.news", "a_b%!c?"} {
		putRoutes(t, pool, domain.Route{Pattern: pattern, Queue: "of " + pattern})
	}
	for name, want := range map[string]string{
		"feeds.news": "feeds.news", "feeds.other": "feeds.*", "other": "*", "a_b%!cd": "a_b%!c?", "axb%!cd": "*", "a_bxx!cd": "*", `feeds.\`: "feeds.*",
	} {
		if got := queue(name); got != "of "+want {
			t.Errorf("%s goes to %q, want that of %s", name, got, want)
		}
	}
	if err := outbox.DeleteRoute(t.Context(), pool, "feeds.news"); err != nil {
		t.Fatal(err)
	}
	if got := queue("feeds.news"); got != "of feeds.*" {
		t.Errorf("after its route was taken away it goes to %q", got)
	}
	if err := outbox.DeleteRoute(t.Context(), pool, "feeds.news"); !errors.Is(err, domain.ErrRouteNotFound) {
		t.Errorf("%v", err)
	}
}

// TestRoutesAreInTheLog changes a route, and reads what the log says of it.
func TestRoutesAreInTheLog(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	for _, queue := range []string{"a", "a", "b"} {
		putRoutes(t, pool, domain.Route{Pattern: "app.task", Queue: queue})
	}
	if err := outbox.DeleteRoute(t.Context(), pool, "app.task"); err != nil {
		t.Fatal(err)
	}
	putRoutes(t, pool, domain.Route{Pattern: "app.task", Queue: "c"})
	var told string
	if err := pool.QueryRow(t.Context(), `select string_agg(version || ' ' || type || ' ' || coalesce(data->>'queue', '-'), ', ' order by position)
		from tactus.outbox where topic = 'route'`).Scan(&told); err != nil {
		t.Fatal(err)
	}
	if want := "1 route.set a, 2 route.set b, 3 route.deleted b, 4 route.set c"; told != want {
		t.Errorf("got %s, want %s", told, want)
	}
	all, err := outbox.Routes(t.Context(), pool)
	if err != nil || len(all) != 1 || all[0].Queue != "c" || all[0].Source != "test" {
		t.Errorf("%+v, %v", all, err)
	}
	for _, r := range []domain.Route{{Pattern: "x", Queue: "reply.celery.pidbox"}, {Pattern: "x", Exchange: "celeryev", RoutingKey: "k"}} {
		if _, err := outbox.PutRoute(t.Context(), pool, r, "", nil); !errors.Is(err, &domain.Error{Code: "target_ambiguous"}) {
			t.Errorf("a route to what Celery uses itself: %v", err)
		}
	}
	if _, err := outbox.PutRoute(t.Context(), pool, domain.Route{ExpiresSeconds: -1}, "", nil); !errors.Is(err, &domain.Error{Code: "name_invalid"}) ||
		!errors.Is(err, &domain.Error{Code: "out_of_range"}) {
		t.Errorf("%v", err)
	}
}

// TestRouteSpoiledByHand has somebody write a pattern into a route that LIKE would raise for. No other route, and no
// task that it would be compared with, is concerned.
func TestRouteSpoiledByHand(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	for _, pattern := range []string{"app.*!", "!*", "app.%!?", "*\\"} {
		_, err := pool.Exec(t.Context(), `insert into tactus.routes (pattern, version, matches, source, queue, ignore_result, updated_at)
			values ($1, 1, '%!', 'a hand', 'spoiled', false, now())`, pattern)
		if err != nil {
			t.Fatal(err)
		}
	}
	if _, err := pool.Exec(t.Context(), `insert into tactus.routes (pattern, version, source, queue, ignore_result, updated_at)
		values ('app.*', 1, '', 'q', false, now())`); err != nil {
		t.Fatal(err)
	}
	var queue string
	if err := pool.QueryRow(t.Context(), `select queue from tactus.route_of('app.task')`).Scan(&queue); err != nil || queue != "q" {
		t.Errorf("routed to %q, %v", queue, err)
	}
}

// TestStrangersLocksStopNothing has a session that may only connect hold the advisory locks of routes and partitions.
func TestStrangersLocksStopNothing(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	stranger, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stranger.Rollback(context.Background()) }()
	const hold = `select pg_advisory_xact_lock(7461637, n) from generate_series(475730, 475740) n`
	if _, err := stranger.Exec(t.Context(), hold); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), testenv.Patience)
	defer cancel()
	if _, err := outbox.PutRoute(ctx, pool, domain.Route{Pattern: "a", Queue: "q"}, "", nil); err != nil {
		t.Errorf("a route: %v", err)
	}
	if did := maintain(t, pool, time.Now().AddDate(3, 0, 0)); len(did.Made) == 0 {
		t.Errorf("no partition is made: %+v", did)
	}
}

// TestRoutesAreCountedInTurn has two writers at once, each of whom adds the last route that there may be: one of them
// is refused, whatever the isolation of its transaction.
func TestRoutesAreCountedInTurn(t *testing.T) {
	t.Parallel()
	for _, isolation := range []pgx.TxIsoLevel{pgx.ReadCommitted, pgx.RepeatableRead, pgx.Serializable} {
		t.Run(string(isolation), func(t *testing.T) {
			t.Parallel()
			pool := testenv.Database(t)
			if _, err := pool.Exec(t.Context(), `insert into tactus.routes (pattern, version, source, queue, ignore_result, updated_at)
				select format('t%s*', n), 1, '', 'q', false, now() from generate_series(1, 999) n`); err != nil {
				t.Fatal(err)
			}
			put := func(tx pgx.Tx, name string) error {
				_, err := outbox.PutRoute(t.Context(), tx, domain.Route{Pattern: name + "*", Queue: "q"}, "", nil)
				return err
			}
			first, err := pool.BeginTx(t.Context(), pgx.TxOptions{IsoLevel: isolation})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = first.Rollback(t.Context()) }()
			if err := put(first, "first"); err != nil {
				t.Fatal(err)
			}
			second := make(chan error, 1)
			go func() {
				second <- pgx.BeginTxFunc(t.Context(), pool, pgx.TxOptions{IsoLevel: isolation}, func(tx pgx.Tx) error { return put(tx, "second") })
			}()
			testenv.Eventually(t, "the second waits for its turn", func() error {
				var waits bool
				err := pool.QueryRow(t.Context(), `select exists (select from pg_stat_activity
					where datname = current_database() and wait_event_type = 'Lock')`).Scan(&waits)
				if err == nil && !waits {
					err = errors.New("nobody waits")
				}
				return err
			})
			if err := first.Commit(t.Context()); err != nil {
				t.Fatal(err)
			}
			err = <-second
			if e, ok := errors.AsType[*pgconn.PgError](err); !errors.Is(err, domain.ErrTooManyRoutes) && (!ok || e.Code != "40001" || isolation == pgx.ReadCommitted) {
				t.Errorf("the second one: %v", err)
			}
			var n int
			if err := pool.QueryRow(t.Context(), `select count(*) from tactus.routes where deleted_at is null`).Scan(&n); err != nil || n != 1000 {
				t.Errorf("there are %d routes, %v", n, err)
			}
		})
	}
}
