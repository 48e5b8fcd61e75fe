package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/api"
	"github.com/tactus-dev/tactus/internal/celery"
)

// What the database holds whose endpoints are asked, unless said.
const (
	Schedules = 100_000
	Runs      = 500_000
)

const (
	asksEach   = 50 // how often each endpoint is asked in a round
	pageGoal   = 50 // milliseconds that 95 of 100 pages do not exceed
	categories = 50
)

// seedRuns gives a fifth of the runs to the oldest schedule, and the same number to each other one.
const seedRuns = `
insert into tactus.runs (id, schedule_id, due_at, kind, status, schedule_version, fired_at, finished_at, error)
select gen_random_uuid(), s.id, due, 'scheduled', case when k % 10 = 0 then 'failed' else 'succeeded' end, 1, due, due,
    case when k % 10 = 0 then 'ValueError()' end
from (select id, row_number() over (order by created_at) as place from tactus.schedules) s,
    lateral generate_series(1, case when place = 1 then @runs::int / 5 else ceil(@runs::int * 0.8 / @schedules::int)::int end) k,
    lateral (select now() - k * interval '1 second') at (due)`

// seedEvents has the schedules made by some hundreds of transactions.
const seedEvents = `
insert into tactus.outbox (xid, topic, aggregate_id, version, type, data)
select (3 + row_number() over (order by created_at) % 500)::text::xid8, 'schedule', id, 1, 'schedule.created', definition
from tactus.schedules order by created_at`

// Answers measures how long each endpoint of the API takes in a full database, asked by one client at a time.
func Answers(ctx context.Context, l *Lab) (figures []Figure, err error) {
	pool, drop, err := l.Database(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, drop()) }()
	schedules := l.Size(cmp.Or(l.cfg.Schedules, Schedules))
	busy, run, err := l.fill(ctx, pool, schedules, l.Size(cmp.Or(l.cfg.Runs, Runs)))
	if err != nil {
		return nil, err
	}
	address, stop, err := serve(ctx, pool)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, stop()) }()
	for _, e := range endpoints(schedules, busy, run) {
		wanted := []Wanted{{e.name + ", p50", Milliseconds, Goal{}}, {e.name + ", p95", Milliseconds, e.goal}}
		measured, err := l.Repeat(ctx, wanted, func(ctx context.Context) ([]float64, error) {
			took := make([]float64, 0, asksEach)
			for range l.Size(asksEach) {
				begun := time.Now()
				if err := e.ask(ctx, address); err != nil {
					return nil, err
				}
				took = append(took, float64(time.Since(begun))/float64(time.Millisecond))
			}
			return []float64{median(took), percentile(took, 95)}, nil
		})
		if err != nil {
			return figures, err
		}
		figures = append(figures, measured...)
	}
	return figures, nil
}

// fill makes schedules, runs and events, and returns the schedule with the most runs and one of the runs.
func (l *Lab) fill(ctx context.Context, pool *pgxpool.Pool, schedules, runs int) (busy, run string, err error) {
	l.Say(fmt.Sprintf("making %d schedules and %d runs", schedules, runs))
	if err := seed(ctx, pool, schedules, categorized()); err != nil {
		return "", "", err
	}
	for _, sql := range []string{seedRuns, seedEvents} {
		if _, err := pool.Exec(ctx, sql, pgx.NamedArgs{"schedules": schedules, "runs": runs}); err != nil {
			return "", "", fmt.Errorf("make runs and events: %w", err)
		}
	}
	if _, err := pool.Exec(ctx, "vacuum analyze"); err != nil {
		return "", "", err
	}
	err = pool.QueryRow(ctx, `
select s.id::text, (select id::text from tactus.runs where schedule_id = s.id limit 1)
from tactus.schedules s order by created_at limit 1`).Scan(&busy, &run)
	return busy, run, err
}

// categorized is a typical schedule in each category, with a tag of its own.
func categorized() (all []domain.Definition) {
	for n := range categories {
		d := typical()
		d.CronExpression = fmt.Sprintf("%d * * * *", n)
		d.Category, d.Tags = fmt.Sprint("category-", n), []string{"all", fmt.Sprint("tag-", n)}
		all = append(all, d)
	}
	return all
}

// serve answers on a port of its own, as tactus api does.
func serve(ctx context.Context, pool *pgxpool.Pool) (address string, stop func() error, err error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	server := &http.Server{Handler: api.New(pool, "UTC", slog.New(slog.DiscardHandler), celery.Config{}), ReadHeaderTimeout: time.Minute}
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	return "http://" + listener.Addr().String() + "/api/v1", func() error {
		err := server.Close()
		if served := <-done; !errors.Is(served, http.ErrServerClosed) {
			err = errors.Join(err, served)
		}
		return err
	}, nil
}

// endpoint is a request that is made again and again.
type endpoint struct {
	name, method, path, body string
	goal                     Goal
}

func endpoints(schedules int, busy, run string) (all []endpoint) {
	add := func(goal Goal, method, path, body string) {
		name := strings.NewReplacer(busy, "{id}", run, "{id}").Replace(method + " " + path)
		all = append(all, endpoint{name, method, path, body, goal})
	}
	page := AtMost(pageGoal)
	for _, query := range []string{
		"", fmt.Sprintf("?page=%d", schedules/100), "?category=category-7", "?tag=tag-7", "?tag=all", "?name=s77", "?q=S7", "?q=nothing",
		"?task_name=shop.orders.reconcile", "?task_name=none", "?invalid=true", "?invalid=false",
	} {
		add(page, "GET", "/schedules"+query, "")
	}
	add(Goal{}, "GET", "/schedules?per_page=1000", "")
	one := "/schedules/" + busy
	add(page, "GET", one, "")
	add(page, "GET", one+"/next", "")
	add(page, "GET", one+"/history", "")
	add(page, "GET", one+"/history?offset=5000", "")
	add(page, "GET", "/tasks/"+run+"/status", "")
	for _, query := range []string{
		"", "?status=failed", "?error=ValueError", "?status=failed&tag=tag-7", "?task_name=shop.orders.reconcile", "?worker=none",
		"?schedule=" + busy + "&status=failed", "/summary", "/" + run,
	} {
		add(page, "GET", "/runs"+query, "")
	}
	add(page, "GET", "/events?limit=100", "")
	add(page, "GET", "/events?type=schedule.deleted", "")
	add(Goal{}, "PATCH", one, `{"description":"x"}`)
	add(Goal{}, "POST", one+"/trigger", "")
	add(Goal{}, "POST", "/schedules", `{"task_name":"t","cron_expression":"* * * * *"}`)
	add(Goal{}, "POST", "/schedules/preview", `{"cron_expression":"* * * * *"}`)
	return all
}

func (e endpoint) ask(ctx context.Context, address string) error {
	request, err := http.NewRequestWithContext(ctx, e.method, address+e.path, strings.NewReader(e.body))
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode >= http.StatusBadRequest {
		err = fmt.Errorf("%s: %s: %.300s", e.name, response.Status, answer)
	}
	return err
}
