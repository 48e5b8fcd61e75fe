package relay_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/internal/redis"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/relay"
)

// TestStandbyPromoted checks that a relay serves nothing from a standby. The standby then lags, and is promoted without
// the tail of the log. A new epoch has everything that is committed there from then on, with versions that the stream
// has seen before, and no task comes again.
func TestStandbyPromoted(t *testing.T) {
	t.Parallel()
	primary, url := testenv.Postgres(t, nil)
	standby, replication := testenv.Standby(t, primary)
	before := at(t, testenv.Connect(t, url), testenv.Redis(t))
	after := at(t, testenv.Connect(t, standby.URL("tactus")), before.redis)
	stop := before.carry(t, before.events(), before.tasks(t))
	before.put(t, "a", 5)
	tasks := before.fire(t, "q", 3)
	before.awaitEvents(t)
	before.awaitTasks(t, "q", tasks)
	testenv.AwaitReplay(t, primary, standby)

	waiting, _ := after.relay(t, relay.Config{}, after.events(), after.tasks(t))
	awaitRefusal(t, waiting)
	replication.Refuse()
	before.put(t, "a", 4)
	tasks = append(tasks, before.fire(t, "q", 2)...)
	before.awaitEvents(t)
	before.awaitTasks(t, "q", tasks)
	stop()
	if err := primary.Kill(); err != nil {
		t.Fatal(err)
	}
	awaitRefusal(t, waiting)
	if err := standby.Promote(t.Context()); err != nil {
		t.Fatal(err)
	}
	after.goesOn(t, tasks)
	after.tells(t, "; 4 changes from ", "; the sink was given batches ")
}

// TestRestoredElsewhere restores a dump on a server whose transactions have lower numbers, where changes are committed
// before a relay starts. With a tail, the stream has events that the dump lacks.
func TestRestoredElsewhere(t *testing.T) {
	t.Parallel()
	for name, tail := range map[string]int{"without a tail": 0, "with a tail": 3} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			origin, url := testenv.Postgres(t, nil)
			before := at(t, testenv.Connect(t, url), testenv.Redis(t))
			before.sql(t, `do $$ begin for n in 1..5000 loop perform pg_current_xact_id(); commit; end loop; end $$`)
			stop := before.carry(t, before.events(), before.tasks(t))
			before.put(t, "a", 5)
			tasks := before.fire(t, "q", 3)
			before.awaitEvents(t)
			before.awaitTasks(t, "q", tasks)
			restore, err := origin.Dump(t.Context(), "tactus")
			if err != nil {
				t.Fatal(err)
			}
			before.put(t, "a", tail)
			if tail > 0 {
				tasks = append(tasks, before.fire(t, "q", tail)...)
			}
			before.awaitEvents(t)
			before.awaitTasks(t, "q", tasks)
			stop()

			other := testenv.PostgresServer(t, nil)
			if err := restore(t.Context(), other); err != nil {
				t.Fatal(err)
			}
			after := at(t, testenv.Connect(t, other.URL("tactus")), before.redis)
			after.put(t, "a", 2)
			tasks = append(tasks, after.fire(t, "q", 2)...)
			after.carry(t, after.events(), after.tasks(t))
			after.goesOn(t, tasks)
			if tail == 0 {
				after.tells(t)
			} else {
				after.tells(t, fmt.Sprintf("; %d changes from ", tail), "; the sink was given batches ")
			}
		})
	}
}

// goesOn changes a schedule, and checks that the stream has one new epoch, that a consumer of the stream then has what
// PostgreSQL has, and that no task is missing or came again.
func (w *world) goesOn(t *testing.T, tasks []string) {
	t.Helper()
	w.put(t, "a", 3)
	w.put(t, "after", 2)
	tasks = append(tasks, w.fire(t, "q", 2)...)
	w.awaitEvents(t)
	w.awaitTasks(t, "q", tasks)
	epochs, followed := w.follow(t)
	if epochs != 1 {
		t.Errorf("the stream tells of %d new epochs", epochs)
	}
	if logged := w.newest(t); !maps.Equal(followed, logged) {
		t.Errorf("who follows the stream has\n%v, and the log\n%v", followed, logged)
	}
}

// tells checks that verify names each gap that a restore has left, once.
func (w *world) tells(t *testing.T, want ...string) {
	t.Helper()
	report := w.awaitEvents(t)
	told := wentBack(report)
	if len(told) != len(want) || len(report.Restores) != 2 {
		t.Fatalf("told %q of %d restores, want %q", told, len(report.Restores), want)
	}
	for _, part := range want {
		if !slices.ContainsFunc(told, func(message string) bool { return strings.Contains(message, part) }) {
			t.Errorf("told %q, want %q", told, part)
		}
	}
}

// awaitRefusal waits until no sink is served, and checks the reason.
func awaitRefusal(t *testing.T, r *relay.Relay) {
	t.Helper()
	testenv.Eventually(t, "a refusal", func() error {
		for _, s := range r.Stats() {
			if s.Problem == nil || !strings.Contains(s.Problem.Error(), "the database is a standby") {
				return fmt.Errorf("%s: %v", s.Sink, s.Problem)
			}
			if s.Published > 0 {
				t.Fatalf("a standby's relay has published %d", s.Published)
			}
		}
		return nil
	})
}

// follow reads the stream as a consumer does: the newest version of each schedule counts, and a new epoch starts
// afresh.
func (w *world) follow(t *testing.T) (epochs int, newest map[string]string) {
	t.Helper()
	entries, err := w.redis.XRange(t.Context(), redis.EventStream, "-", "+").Result()
	if err != nil {
		t.Fatal(err)
	}
	newest = map[string]string{}
	for _, e := range entries {
		var event struct {
			Type, Subject string
			Data          json.RawMessage
		}
		payload, _ := e.Values["payload"].(string)
		if err := json.Unmarshal([]byte(payload), &event); err != nil {
			t.Fatal(err)
		}
		if event.Type == "log.epoch_started" {
			epochs++
			clear(newest)
			continue
		}
		newest[event.Subject] = string(event.Data)
	}
	return epochs, newest
}

// newest returns the newest version of each schedule in the log, whatever server its rows come from.
func (w *world) newest(t *testing.T) map[string]string {
	t.Helper()
	newest := map[string]string{}
	rows, err := w.pool.Query(t.Context(), `select aggregate_id::text, data::text from tactus.outbox where topic = 'schedule' order by position`)
	if err != nil {
		t.Fatal(err)
	}
	var id, data string
	if _, err := pgx.ForEachRow(rows, []any{&id, &data}, func() error {
		newest[id] = data
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return newest
}
