package results

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/celery"
	"github.com/tactus-dev/tactus/internal/testenv"
)

// lock locks rows for an update until the function that it returns is called.
func (s site) lock(t *testing.T, sql string, args ...any) (unlock func()) {
	t.Helper()
	tx, err := s.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tx.Rollback(context.WithoutCancel(t.Context())) })
	if tag, err := tx.Exec(t.Context(), sql, append([]any{pgx.QueryExecModeExec}, args...)...); err != nil ||
		tag.RowsAffected() != 1 {
		t.Fatalf("locked %s: %v", tag, err)
	}
	return func() {
		if err := tx.Rollback(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// TestLockedRunHoldsUpNoAnswer locks the row of a run whose events come among those of other runs, without any other
// source of their results. The others are recorded at once, and this run when its row is free.
func TestLockedRunHoldsUpNoAnswer(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	client := testenv.Client(t, testenv.RedisServer(t, nil).URL(0))
	c := s.collector(t, nil, client, Config{EventPrefix: "/0."})
	schedule := s.schedule(t, domain.Definition{})
	locked, others := s.run(t, schedule, domain.Sent, time.Minute), []domain.ID{}
	start(t, c)
	awaitListener(t, client)
	unlock := s.lock(t, `select from tactus.runs where id = $1 for update`, locked)
	tell := func(id domain.ID, kind string) { c.enqueue(heard{eventOf(t, id, kind), true}) }
	tell(locked, "task-started")
	for range 3 {
		other := s.run(t, schedule, domain.Sent, time.Minute)
		others = append(others, other)
		tell(other, "task-started")
		tell(other, "task-succeeded")
	}
	tell(locked, "task-succeeded")
	for _, other := range others {
		s.await(t, other, domain.Succeeded)
	}
	if r := s.row(t, locked); r.Status != "sent" {
		t.Errorf("the locked one is %+v", r)
	}
	unlock()
	if r := s.await(t, locked, domain.Succeeded); r.Worker == "" || !r.Started {
		t.Errorf("%+v", r)
	}
}

// eventOf returns an event of a run as a worker publishes it.
func eventOf(t *testing.T, id domain.ID, kind string) string {
	t.Helper()
	body := fmt.Sprintf(`{"type":%q,"uuid":%q,"hostname":"w@host","timestamp":%d,"runtime":0.5,"result":"1"}`, kind, id,
		time.Now().Unix())
	text, err := json.Marshal(map[string]any{
		"body": body, "content-type": "application/json",
		"properties": map[string]any{},
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestLockedRunHoldsUpNoSweep has results in the backend, and one run locked.
func TestLockedRunHoldsUpNoSweep(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	client := testenv.Redis(t)
	c := s.collector(t, client, nil, Config{})
	schedule := s.schedule(t, domain.Definition{})
	var runs []domain.ID
	for range 3 {
		runs = append(runs, s.run(t, schedule, domain.Sent, time.Second))
		answerAs(t, client, runs[len(runs)-1], fmt.Sprintf(`{"status":"SUCCESS","result":1,"task_id":%q}`,
			runs[len(runs)-1]), false)
	}
	unlock := s.lock(t, `select from tactus.runs where id = $1 for update`, runs[1])
	for _, want := range []string{"sent", "succeeded"} {
		ctx, cancel := context.WithTimeout(t.Context(), testenv.Patience)
		defer cancel()
		if err := c.Sweep(ctx, ever); err != nil {
			t.Fatal(err)
		}
		if a, b, c := s.row(t, runs[0]).Status, s.row(t, runs[1]).Status, s.row(t, runs[2]).Status; a != "succeeded" ||
			b != want || c != "succeeded" {
			t.Errorf("they are %s, %s, %s", a, b, c)
		}
		if want == "sent" {
			unlock()
		}
	}
}

// TestLockedCountHoldsUpNoRelease locks the count of one of several schedules with waiting runs. The runs of the others
// are released.
func TestLockedCountHoldsUpNoRelease(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c := s.collector(t, nil, nil, Config{})
	var schedules, waiting []domain.ID
	for range 3 {
		schedule, running, one := s.queue(t)
		schedules, waiting = append(schedules, schedule), append(waiting, one)
		if _, err := c.write(t.Context(), []answer{{run: running, status: domain.Succeeded, final: true}}); err != nil {
			t.Fatal(err)
		}
	}
	s.exec(t, `update tactus.schedules set policy = (policy::jsonb || '{"max_runs":2}')::text`)
	s.exec(t, `insert into tactus.schedule_counts select id, trigger_set_at, 1 from tactus.schedules`)
	count := s.lock(t, `select from tactus.schedule_counts where schedule_id = $1 for update`, schedules[0])
	run := s.lock(t, `select from tactus.runs where id = $1 for update`, waiting[1])
	release(t, c, 1)
	if s.waits(t, waiting[2]) {
		t.Error("the third waits")
	}
	count()
	run()
	release(t, c, 2)
}

// TestManyLockedCountsHoldUpNoRelease locks more counts than the number of runs that one statement releases.
func TestManyLockedCountsHoldUpNoRelease(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c := s.collector(t, nil, nil, Config{})
	var last domain.ID
	for range mostReleased + 1 {
		_, _, last = s.queue(t)
	}
	s.exec(t, `update tactus.runs set status = 'succeeded', finished_at = clock_timestamp() where not waiting`)
	s.exec(t, `update tactus.schedules set policy = (policy::jsonb || '{"max_runs":2}')::text`)
	s.exec(t, `insert into tactus.schedule_counts select s.id, s.trigger_set_at, 1 from tactus.schedules s
		join tactus.runs r on r.schedule_id = s.id and r.waiting and r.id <> $1`, last)
	tx, err := s.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(t.Context()) }()
	if _, err := tx.Exec(t.Context(), `select from tactus.schedule_counts for update`); err != nil {
		t.Fatal(err)
	}
	release(t, c, 1)
	if s.waits(t, last) {
		t.Error("the last one, which nobody has locked, waits")
	}
}

// TestLockedTableOfCountsHoldsUpNoRelease locks the whole table of the counts, as REINDEX or VACUUM FULL does. Runs of
// schedules that count no runs are released soon, those of the others when the table is free.
func TestLockedTableOfCountsHoldsUpNoRelease(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"share", "access exclusive"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			c := s.collector(t, nil, nil, Config{})
			schedule, _, counted := s.queue(t)
			_, _, plain := s.queue(t)
			s.exec(t, `update tactus.runs set status = 'succeeded', finished_at = clock_timestamp() where not waiting`)
			s.exec(t, `update tactus.schedules set policy = (policy::jsonb || '{"max_runs":2}')::text where id = $1`, schedule)
			tx, err := s.pool.Begin(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = tx.Rollback(t.Context()) }()
			if _, err := tx.Exec(t.Context(), `lock table tactus.schedule_counts in `+mode+` mode`); err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			release(t, c, 1)
			release(t, c, 0)
			if d := time.Since(began); d > time.Minute {
				t.Errorf("it has waited for %v", d)
			}
			if s.waits(t, plain) || !s.waits(t, counted) {
				t.Error("not the one that counts nothing was released, and that one alone")
			}
			if err := tx.Rollback(t.Context()); err != nil {
				t.Fatal(err)
			}
			testenv.Eventually(t, "what counts is released", func() error {
				if _, err := c.Release(t.Context()); err != nil {
					return err
				}
				if s.waits(t, counted) {
					return errors.New("it waits")
				}
				return nil
			})
		})
	}
}

// TestBadRunHoldsUpNoRelease has waiting runs of schedules whose rows were spoiled by hand, so that no event of their
// runs can be made, among waiting runs of other schedules. The others are released.
func TestBadRunHoldsUpNoRelease(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c := s.collector(t, nil, nil, Config{})
	var bad []domain.ID
	for n := range 12 {
		schedule, _, waiting := s.queue(t)
		if n%5 == 0 {
			s.exec(t, `update tactus.schedules set task = '[1]' where id = $1`, schedule)
			bad = append(bad, waiting)
		}
	}
	s.exec(t, `update tactus.runs set status = 'succeeded', finished_at = clock_timestamp() where not waiting`)
	s.exec(t, `update tactus.schedules set policy = (policy::jsonb || '{"max_runs":2}')::text where id in (
		select schedule_id from tactus.runs where waiting order by id offset 6)`)
	release(t, c, 9)
	release(t, c, 0)
	for _, run := range bad {
		if !s.waits(t, run) || s.events(t, run) > 0 {
			t.Error("a bad one was released")
		}
	}
	s.exec(t, `update tactus.schedules set enabled = false`)
	release(t, c, int64(len(bad)))
}

// TestDeniedKeyHoldsUpNoResult has a server whose access rules deny some of the keys to the collector's user, and a key
// with a large result.
func TestDeniedKeyHoldsUpNoResult(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	server := testenv.RedisServer(t, nil)
	admin := testenv.Client(t, server.URL(0))
	schedule := s.schedule(t, domain.Definition{})
	var runs []domain.ID
	rules := []any{"acl", "setuser", "results", "on", "nopass", "+@all", "&*"}
	for i := range 8 {
		id := s.run(t, schedule, domain.Sent, time.Second)
		runs = append(runs, id)
		value := "1"
		if i == 5 {
			value = `"` + strings.Repeat("x", 2<<20) + `"`
		}
		answerAs(t, admin, id, fmt.Sprintf(`{"status":"SUCCESS","result":%s,"task_id":%q}`, value, id), false)
		if i != 3 {
			rules = append(rules, "~"+celery.ResultPrefix+id.String())
		}
	}
	if err := admin.Do(t.Context(), rules...).Err(); err != nil {
		t.Fatal(err)
	}
	client := testenv.Client(t, strings.Replace(server.URL(0), "redis://", "redis://results:x@", 1))
	c := s.collector(t, client, nil, Config{})
	if err := c.Sweep(t.Context(), ever); err != nil {
		t.Fatal(err)
	}
	for i, id := range runs {
		want := "succeeded"
		if i == 3 {
			want = "sent"
		}
		if r := s.row(t, id); r.Status != want {
			t.Errorf("run %d is %s", i, r.Status)
		}
	}
}
