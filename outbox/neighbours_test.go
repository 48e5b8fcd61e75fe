package outbox_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/domain/handover"
	"github.com/tactus-dev/tactus/internal/claims"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/outbox"
)

// TestNeighboursKeepTheirNames has schedules go to streams and queues that others have, by every way of writing one.
func TestNeighboursKeepTheirNames(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	store := outbox.NewStore(pool, "", handover.Limits{}.Check)
	to := func(name, queue, stream string) domain.Definition {
		d := definition(name)
		d.Queue, d.Stream = queue, stream
		return d
	}
	for _, d := range []domain.Definition{to("queue", `q "é"`, ""), to("stream", "", "s"), to("both ways", "r", "")} {
		if _, err := store.Create(t.Context(), d, "", nil); err != nil {
			t.Fatal(err)
		}
	}
	handOver(t, pool, "s")
	putRoutes(t, pool, domain.Route{Pattern: "a.*", Queue: "routed"})
	ambiguous := &domain.Error{Code: "target_ambiguous"}
	writes := map[string]func(domain.Definition) error{
		"store": func(d domain.Definition) error { _, _, err := store.Put(t.Context(), d); return err },
		"transaction": func(d domain.Definition) error {
			return pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) error { _, err := outbox.Put(t.Context(), tx, d); return err })
		},
	}
	for way, write := range writes {
		for _, c := range []struct {
			d       domain.Definition
			refused bool
		}{
			{to("n", "", `q "é"`), true},
			{to("n", "", "routed"), true},
			{to("n", "s", ""), true},
			{to("n", "", "q"), false},
			{to("queue", `q "é"`, ""), false},
			{to("stream", "", "s"), false},
			{to("both ways", "", "r"), false},
			{to("both ways", "r", ""), false},
		} {
			if err := write(c.d); errors.Is(err, ambiguous) != c.refused || err != nil && !c.refused {
				t.Errorf("%s, %q to queue %q, stream %q: %v", way, c.d.Name, c.d.Queue, c.d.Stream, err)
			}
		}
	}
	if _, err := outbox.PutRoute(t.Context(), pool, domain.Route{Pattern: "b", Queue: "s"}, "", nil); !errors.Is(err, ambiguous) {
		t.Errorf("a route: %v", err)
	}
	if _, err := pool.Exec(t.Context(), `select tactus.put_schedule('{"name":"by SQL","cron_expression":"* * * * *","task_name":"t","stream":"routed"}')`); err != nil {
		t.Fatal(err)
	}
	if n, err := store.Judge(t.Context()); err != nil || n != 1 {
		t.Errorf("%d are invalid, %v", n, err)
	}
}

// TestNamesThatTwoTakeAtOnce has one process make a stream of a name and another one, which remembers that there is no
// such stream, a queue. One of both becomes invalid.
func TestNamesThatTwoTakeAtOnce(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	one, other := outbox.NewStore(pool, "", handover.Limits{}.Check), outbox.NewStore(pool, "", handover.Limits{}.Check)
	queue, stream := definition("queue"), definition("stream")
	queue.Queue, stream.Stream = "before", "name"
	if _, err := other.Create(t.Context(), queue, "", nil); err != nil {
		t.Fatal(err)
	}
	if _, err := one.Create(t.Context(), stream, "", nil); err != nil {
		t.Fatal(err)
	}
	queue.Name, queue.Queue = "the same", "name"
	if _, err := other.Create(t.Context(), queue, "", nil); errors.Is(err, &domain.Error{Code: "target_ambiguous"}) {
		t.Log("this machine took a second for it: the other process has looked again, and refuses")
		return
	} else if err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, "one is invalid", func() error {
		invalid, err := one.Judge(t.Context())
		if err == nil && invalid != 1 {
			err = fmt.Errorf("%d are invalid", invalid)
		}
		return err
	})
}

// TestWhatSQLWroteIsJudgedBeforeItRuns triggers a schedule before anybody has judged it.
func TestWhatSQLWroteIsJudgedBeforeItRuns(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	store := outbox.NewStore(pool, "", handover.Limits{}.Check)
	d := definition("queue")
	d.Queue = "theirs"
	if _, err := store.Create(t.Context(), d, "", nil); err != nil {
		t.Fatal(err)
	}
	var id domain.ID
	if err := pool.QueryRow(t.Context(), `select tactus.put_schedule('{"name":"by SQL","cron_expression":"* * * * *",
		"task_name":"t","stream":"theirs"}')`).Scan(&id); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Trigger(t.Context(), id); !errors.Is(err, domain.ErrScheduleInvalid) {
		t.Errorf("%v", err)
	}
}

// handOver claims a stream as the hand-over of a run does.
func handOver(t *testing.T, pool *pgxpool.Pool, stream string) {
	t.Helper()
	if may, err := claims.Claim(t.Context(), pool, stream, stream); err != nil || !may {
		t.Fatalf("%s: %v, %v", stream, may, err)
	}
}

// TestWhatNeverFiresHoldsNoName has queues take the names of streams to which nothing was handed over, and not of the
// others, whose keys may be in Redis when their schedules are disabled. The refusal names the other schedule to whoever
// may know it.
func TestWhatNeverFiresHoldsNoName(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	store := outbox.NewStore(pool, "", handover.Limits{}.Check)
	squat := definition("squat")
	squat.Stream = "theirs"
	made, err := store.Create(t.Context(), squat, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	claims := func(want int) {
		t.Helper()
		all, err := claims.Claimed(t.Context(), pool, []string{"theirs"})
		if err != nil || all["theirs"].Held != (want > 0) {
			t.Errorf("%v have claimed it, want %d, %v", all, want, err)
		}
	}
	queue := definition("queue")
	queue.Queue = "theirs"
	// take makes a route and a schedule with a queue of the name, and takes them back.
	take := func() (bySchedule, byRoute error) {
		another := outbox.NewStore(pool, "", handover.Limits{}.Check)
		made, bySchedule := another.Create(t.Context(), queue, "", nil)
		if bySchedule == nil {
			if err := another.Delete(t.Context(), made.ID, 0); err != nil {
				t.Fatal(err)
			}
		}
		route := domain.Route{Pattern: "b", Queue: "theirs"}
		if byRoute = another.PutRoute(t.Context(), route, nil); byRoute == nil {
			if err := another.DeleteRoute(t.Context(), "b"); err != nil {
				t.Fatal(err)
			}
		}
		return bySchedule, byRoute
	}
	if _, err := store.Judge(t.Context()); err != nil {
		t.Fatal(err)
	}
	claims(0)
	if bySchedule, byRoute := take(); bySchedule != nil || byRoute != nil {
		t.Errorf("before anything was handed over: %v, %v", bySchedule, byRoute)
	}
	handOver(t, pool, "theirs")
	claims(1)
	bySchedule, byRoute := take()
	for _, err := range []error{bySchedule, byRoute} {
		if err == nil || !strings.Contains(err.Error(), `that of "squat"`) {
			t.Errorf("while it may fire: %v", err)
		}
	}
	scoped := outbox.WithPermit(t.Context(), func(name string, _ []string) error {
		if name == "squat" {
			return domain.ErrNotFound
		}
		return nil
	})
	if _, err := store.Create(scoped, queue, "", nil); err == nil || strings.Contains(err.Error(), "squat") {
		t.Errorf("out of the scope: %v", err)
	}
	if _, err := store.SetEnabled(t.Context(), made.ID, 0, false); err != nil {
		t.Fatal(err)
	}
	claims(0)
	handOver(t, pool, "theirs") // of a manual run
	claims(0)
	bySchedule, byRoute = take()
	for _, err := range []error{bySchedule, byRoute} {
		if err == nil || !strings.Contains(err.Error(), `key "theirs" of Redis is a stream`) ||
			!strings.Contains(err.Error(), `that of "squat"`) {
			t.Errorf("when it is disabled: %v", err)
		}
	}
	forgetKeys(t, pool, false)
	if bySchedule, _ := take(); bySchedule == nil {
		t.Error("a stream that is in Redis was forgotten")
	}
	forgetKeys(t, pool, true)
	if bySchedule, byRoute := take(); bySchedule != nil || byRoute != nil {
		t.Errorf("when it is disabled, and the stream is gone: %v, %v", bySchedule, byRoute)
	}
	third := outbox.NewStore(pool, "", handover.Limits{}.Check) // which remembers nothing
	if _, err := third.Create(t.Context(), queue, "", nil); err != nil {
		t.Fatal(err)
	}
	squat.Name = "another"
	if _, err := store.Create(t.Context(), squat, "", nil); err == nil || !strings.Contains(err.Error(), `that of "queue"`) {
		t.Errorf("a stream of the name of a queue: %v", err)
	}
	if _, err := store.Create(scoped, squat, "", nil); err == nil {
		t.Error("a stream of the name of a queue is refused in every scope")
	}
}

// forgetKeys has looked whether the streams are in Redis that schedules have left.
func forgetKeys(t *testing.T, pool *pgxpool.Pool, gone bool) {
	t.Helper()
	err := claims.ForgetGone(t.Context(), pool, func(_ context.Context, names []string) (map[string]bool, error) {
		all := map[string]bool{}
		for _, name := range names {
			all[name] = gone
		}
		return all, nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestStreamsInUseAreShared has a schedule go to a stream that is in use, and the one that claimed it end.
func TestStreamsInUseAreShared(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	store := outbox.NewStore(pool, "", handover.Limits{}.Check)
	first, second, queue := definition("first"), definition("second"), definition("queue")
	first.Stream, second.Stream, queue.Queue = "s", "s", "s"
	made, err := store.Create(t.Context(), first, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	handOver(t, pool, "s")
	if _, err := pool.Exec(t.Context(), `select tactus.put_schedule('{"name":"second","cron_expression":"* * * * *",
		"task_name":"t","stream":"s"}')`); err != nil {
		t.Fatal(err)
	}
	if invalid, err := store.Judge(t.Context()); err != nil || invalid != 0 {
		t.Errorf("%d are invalid, %v", invalid, err)
	}
	if err := store.Delete(t.Context(), made.ID, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Create(t.Context(), queue, "", nil); err == nil || !strings.Contains(err.Error(), `that of "second"`) {
		t.Errorf("a queue of the name of a stream in use: %v", err)
	}
}
