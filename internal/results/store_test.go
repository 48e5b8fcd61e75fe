package results

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/redis/go-redis/v9"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/domain/handover"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/outbox"
)

// site is a database with schedules and runs.
type site struct {
	pool  *pgxpool.Pool
	store *outbox.Store
}

func newSite(t *testing.T) site {
	t.Helper()
	pool := testenv.Database(t)
	return site{pool, outbox.NewStore(pool, "UTC", handover.Limits{}.Check)}
}

func (s site) collector(t *testing.T, backend, broker redis.UniversalClient, cfg Config) *Collector {
	t.Helper()
	c, err := New(s.pool, backend, broker, slog.New(slog.NewTextHandler(t.Output(), nil)), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// schedule makes a schedule with a task.
func (s site) schedule(t *testing.T, d domain.Definition) domain.ID {
	t.Helper()
	d.TaskName, d.IntervalSeconds = "app.t", 3600
	made, err := s.store.Create(t.Context(), d, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	return made.ID
}

// runsMade makes the due times of runs differ, since a schedule cannot have two runs of the same due time.
var runsMade atomic.Int64

// run makes a run that was handed over some time ago.
func (s site) run(t *testing.T, schedule domain.ID, status domain.RunStatus, age time.Duration) domain.ID {
	t.Helper()
	id := outbox.NewID()
	s.exec(t, `insert into tactus.runs (id, schedule_id, due_at, kind, status, schedule_version, fired_at, sent_at)
		select $1, $2, at + $5 * interval '1 microsecond', 'scheduled', $3, 1, at, at from (select now() - $4::interval as at) moment`, id, schedule, status, age, runsMade.Add(1))
	return id
}

func (s site) exec(t *testing.T, sql string, args ...any) {
	t.Helper()
	if _, err := s.pool.Exec(t.Context(), sql, args...); err != nil {
		t.Fatal(err)
	}
}

// row is the state of a run in the database.
type row struct {
	Status            string
	Result, Err       string
	Worker, Reason    string
	Started, Finished bool
}

func (s site) row(t *testing.T, id domain.ID) row {
	t.Helper()
	rows, err := s.pool.Query(t.Context(),
		`select status, coalesce(result::text, ''), coalesce(error, ''), coalesce(worker, ''), coalesce(reason, ''),
		started_at is not null, finished_at is not null from tactus.runs where id = $1`, id)
	if err != nil {
		t.Fatal(err)
	}
	r, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[row])
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestTransitions records every kind of answer to runs in every state.
func TestTransitions(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c := s.collector(t, nil, nil, Config{})
	schedule := s.schedule(t, domain.Definition{})
	started := answer{status: domain.Started, worker: "w1"}
	retried := answer{status: domain.Retrying, err: "again", traceback: "T"}
	succeeded := answer{status: domain.Succeeded, final: true, result: json.RawMessage(`5`), finished: noon}
	failed := answer{status: domain.Failed, final: true, err: "no", finished: noon}
	expired := answer{status: domain.Expired, final: true, err: "TaskRevokedError: expired"}
	unknown := answer{status: domain.Unknown, final: true, reason: "silence"}
	guessed := answer{status: domain.Expired, final: true, reason: "silence"}
	byEvent := answer{
		status: domain.Succeeded, final: true, shown: true, result: json.RawMessage(`"5"`), worker: "w1",
		started: noon,
	}
	done := row{Status: "succeeded", Result: "5", Finished: true}
	for name, test := range map[string]struct {
		from  domain.RunStatus
		heard []answer
		want  row
	}{
		"straight":                     {domain.Sent, []answer{succeeded}, done},
		"before it was marked as sent": {domain.Due, []answer{succeeded}, done},
		"started": {
			domain.Sent,
			[]answer{started},
			row{Status: "started", Worker: "w1", Started: true},
		},
		"retrying": {
			domain.Sent,
			[]answer{started, retried},
			row{Status: "retrying", Err: "again", Worker: "w1", Started: true},
		},
		"retried": {
			domain.Sent,
			[]answer{retried, started},
			row{Status: "started", Err: "again", Worker: "w1", Started: true},
		},
		"retried, then done": {domain.Sent, []answer{retried, succeeded}, done},
		"failed": {
			domain.Started,
			[]answer{failed},
			row{Status: "failed", Err: "no", Finished: true},
		},
		"failed, then another word": {
			domain.Sent,
			[]answer{failed, succeeded, started, retried, unknown},
			row{Status: "failed", Err: "no", Finished: true},
		},
		"done, then nothing goes back": {
			domain.Sent,
			[]answer{succeeded, started, retried, failed, expired, unknown},
			done,
		},
		"the worker is told later": {
			domain.Sent,
			[]answer{succeeded, byEvent},
			row{Status: "succeeded", Result: "5", Worker: "w1", Started: true, Finished: true},
		},
		"told by an event alone": {domain.Sent, []answer{byEvent}, row{
			Status: "succeeded", Result: `"5"`,
			Worker: "w1", Started: true, Finished: true,
		}},
		"expired, as the worker says": {
			domain.Sent,
			[]answer{expired, succeeded},
			row{Status: "expired", Err: "TaskRevokedError: expired", Finished: true},
		},
		"unknown": {
			domain.Sent,
			[]answer{unknown, started, retried},
			row{Status: "unknown", Reason: "silence", Finished: true},
		},
		"unknown, then an answer": {domain.Sent, []answer{unknown, succeeded, failed}, done},
		"taken for expired, then it was": {
			domain.Sent,
			[]answer{guessed, expired},
			row{Status: "expired", Err: "TaskRevokedError: expired", Finished: true},
		},
		"taken for expired, but it ran": {domain.Sent, []answer{guessed, succeeded}, done},
		"skipped": {
			domain.Skipped,
			[]answer{started, succeeded, unknown},
			row{Status: "skipped"},
		},
		"missed": {domain.MissedRun, []answer{succeeded}, row{Status: "missed"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			id := s.run(t, schedule, test.from, time.Minute)
			for _, a := range test.heard {
				a.run = id
				if _, err := c.write(t.Context(), []answer{a}); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(test.want, s.row(t, id)); diff != "" {
				t.Errorf("want (-), got (+):\n%s", diff)
			}
		})
	}
}

// TestOneBadAnswerHoldsUpNoOther hides answers that Postgres refuses among good ones.
func TestOneBadAnswerHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c := s.collector(t, nil, nil, Config{})
	schedule := s.schedule(t, domain.Definition{})
	var answers []answer
	for i := range 50 {
		a := answer{
			run: s.run(t, schedule, domain.Sent, time.Minute), status: domain.Succeeded, final: true,
			result: json.RawMessage(`1`),
		}
		switch i {
		case 7:
			a.result = json.RawMessage(`{"broken":`)
		case 23:
			a.worker = "\x00"
		case 31:
			a.result = json.RawMessage(deepJSON)
		}
		answers = append(answers, a)
	}
	if _, err := c.write(t.Context(), answers); err != nil {
		t.Fatal(err)
	}
	for i, a := range answers {
		want := row{Status: "succeeded", Result: "1", Finished: true}
		if i == 7 || i == 23 || i == 31 {
			want.Result, want.Err = "", "its answer cannot be kept"
		}
		if diff := cmp.Diff(want, s.row(t, a.run)); diff != "" {
			t.Errorf("%d: want (-), got (+):\n%s", i, diff)
		}
	}
}

var deepJSON = func() string {
	const n = 20_000 // Postgres' stack ends before
	b := make([]byte, 2*n)
	for i := range n {
		b[i], b[2*n-1-i] = '[', ']'
	}
	return string(b)
}()

// TestManyCollectorsAtOnce has many collectors record the same answers at once, in different orders.
func TestManyCollectorsAtOnce(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	schedule := s.schedule(t, domain.Definition{})
	const runs = 300
	ids := make([]domain.ID, runs)
	for i := range ids {
		ids[i] = s.run(t, schedule, domain.Sent, time.Minute)
	}
	var all sync.WaitGroup
	for n := range 4 {
		c := s.collector(t, nil, nil, Config{})
		all.Go(func() {
			for _, status := range []domain.RunStatus{domain.Started, domain.Succeeded} {
				answers := make([]answer, runs)
				for i := range answers {
					at := i
					if n%2 == 1 {
						at = runs - 1 - i
					}
					answers[i] = answer{
						run: ids[at], status: status, final: status == domain.Succeeded,
						worker: fmt.Sprint("w", n), result: nil,
					}
				}
				if _, err := c.write(t.Context(), answers); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	for _, id := range ids {
		if r := s.row(t, id); r.Status != "succeeded" || !r.Finished {
			t.Fatalf("%+v", r)
		}
	}
}
