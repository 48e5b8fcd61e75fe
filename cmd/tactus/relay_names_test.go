package main

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/domain/handover"
	"github.com/tactus-dev/tactus/internal/claims"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/outbox"
	"github.com/tactus-dev/tactus/relay"
)

// TestNamesBelongToWhoCameFirst has a schedule that goes to a queue and one that goes to a stream of the same name. No
// check could see the other one, since they come from transactions that end late or from adopted rows. The one that
// came first keeps the name. No run of the other one is handed over, and it becomes invalid, unless it is a row of an
// adopted table.
func TestNamesBelongToWhoCameFirst(t *testing.T) {
	t.Parallel()
	pool, client := testenv.Database(t), testenv.Redis(t)
	store := outbox.NewStore(pool, "", handover.Limits{}.Check)
	flags, log := relayFlags{Redeliver: leastLogKeep}, slog.New(slog.NewTextHandler(t.Output(), nil))
	routes, err := flags.routes(eventStream(client, redisFlags{}, log), client, client, redisFlags{}, log, nil)
	if err != nil {
		t.Fatal(err)
	}
	r, err := relay.New(pool, flags.withNames(routes[1:], pool, client, client, log), relay.Config{Log: log})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { r.Run(ctx) })
	defer running.Wait()
	defer stop()
	definition := func(name, queue, stream string) domain.Definition {
		return domain.Definition{Name: name, TaskName: "t", CronExpression: "0 0 1 1 *", Queue: queue, Stream: stream}
	}
	create := func(d domain.Definition) domain.ID {
		t.Helper()
		s, err := store.Create(t.Context(), d, "", nil)
		if err != nil {
			t.Fatal(err)
		}
		return s.ID
	}
	// late makes a schedule, in a transaction that ends when the test calls the function that is returned.
	late := func(d domain.Definition) (domain.ID, func()) {
		t.Helper()
		tx, err := pool.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = tx.Rollback(context.Background()) })
		s, err := outbox.Put(t.Context(), tx, d)
		if err != nil {
			t.Fatal(err)
		}
		return s.ID, func() {
			if err := tx.Commit(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	adopted := func(name, queue string) domain.ID {
		t.Helper()
		var id domain.ID
		if err := pool.QueryRow(t.Context(), `
			insert into tactus.schedules (id, name, version, enabled, managed_by, trigger, anchor, policy, effective_from,
				trigger_set_at, created_at, updated_at, category, tags, definition, task)
			select gen_random_uuid(), $1, 1, true, 'public.theirs', trigger, anchor, policy, now(),
				now(), now(), now(), '', '{}', definition, jsonb_build_object('task_name', 't', 'queue', $2::text)::text::json
			from tactus.schedules where name = 'pattern'
			returning id`, name, queue).Scan(&id); err != nil {
			t.Fatal(err)
		}
		return id
	}
	// handed triggers a schedule, and returns what has become of the run and of the key.
	handed := func(id domain.ID, key string) string {
		t.Helper()
		if _, err := store.Trigger(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		var status string
		testenv.Eventually(t, "handed over", func() error {
			err := pool.QueryRow(t.Context(), `select status || coalesce(' ' || split_part(error, ' ', 7), '') from tactus.runs
				where schedule_id = $1 order by fired_at desc limit 1`, id).Scan(&status)
			if err == nil && status == "due" {
				err = fmt.Errorf("it is %s", status)
			}
			return err
		})
		is, err := client.Type(t.Context(), key).Result()
		if err != nil {
			t.Fatal(err)
		}
		return status + ", " + is
	}
	want := func(what, got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("%s: %s, want %s", what, got, want)
		}
	}
	becomesInvalid := func(what string, id domain.ID) {
		t.Helper()
		testenv.Eventually(t, what+" is invalid", func() error {
			if _, err := store.Judge(t.Context()); err != nil {
				return err
			}
			s, err := store.Get(t.Context(), id)
			if err == nil && !strings.HasPrefix(s.InvalidReason, "target_ambiguous") {
				err = fmt.Errorf("it is %q", s.InvalidReason)
			}
			return err
		})
	}
	valid := func(what string, id domain.ID) {
		t.Helper()
		if s, err := store.Get(t.Context(), id); err != nil || s.InvalidReason != "" {
			t.Errorf("%s: %q, %v", what, s.InvalidReason, err)
		}
	}
	create(definition("pattern", "", ""))

	queue, commit := late(definition("late queue", "a", ""))
	stream := create(definition("stream", "", "a"))
	want("the stream that came first", handed(stream, "a"), "sent, stream")
	commit()
	want("a queue that comes late", handed(queue, "a"), "failed RESERVED, stream")
	becomesInvalid("a queue that comes late", queue)
	want("the stream, again", handed(stream, "a"), "sent, stream")
	valid("the stream that came first", stream)

	stream = create(definition("idle stream", "", "b"))
	want("a stream that runs for the first time", handed(stream, "b"), "sent, stream")
	row := adopted("adopted row", "b")
	want("an adopted row that comes late", handed(row, "b"), "failed RESERVED, stream")
	again := definition("idle stream", "", "b")
	again.Description = "kept"
	if _, _, err := store.Put(t.Context(), again); err != nil {
		t.Errorf("a stream that keeps its name: %v", err)
	}

	stream, commit = late(definition("late stream", "", "c"))
	row = adopted("first row", "c")
	commit()
	want("a stream that comes late", handed(stream, "c"), "failed RESERVED, none")
	becomesInvalid("a stream that comes late", stream)
	want("the adopted row that came first", handed(row, "c"), "sent, list")

	stream = create(definition("gone", "", "d"))
	if err := store.Delete(t.Context(), stream, 0); err != nil {
		t.Fatal(err)
	}
	queue = create(definition("after it", "d", ""))
	want("a queue of the name of a stream that is gone", handed(queue, "d"), "sent, list")

	stream = create(definition("never ran", "", "e"))
	queue = create(definition("needs the name", "e", ""))
	want("a queue of the name of a stream that never ran", handed(queue, "e"), "sent, list")
	want("the stream that never ran", handed(stream, "e"), "failed WRONGTYPE, list")
	becomesInvalid("the stream that never ran", stream)

	// A worker has bound an empty queue to an exchange of another name; a schedule publishes to this exchange.
	bound := definition("through an exchange", "", "")
	bound.Exchange, bound.RoutingKey = "ey", "rk"
	if err := client.SAdd(t.Context(), "_kombu.binding.ey", "rk\x06\x16\x06\x16exr").Err(); err != nil {
		t.Fatal(err)
	}
	through := create(bound)
	stream = create(definition("takes it", "", "exr"))
	want("a stream with the name of a queue that a worker has bound", handed(stream, "exr"), "failed RESERVED, none")
	want("the queue of the worker", handed(through, "exr"), "sent, list")
	if claimed, err := claims.Claimed(t.Context(), pool, []string{"exr"}); err != nil || len(claimed) > 0 {
		t.Errorf("%v have claimed what they cannot have, %v", claimed, err)
	}
}
