package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/domain/handover"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/outbox"
	"github.com/tactus-dev/tactus/relay"
)

// TestStreamsOutliveTheirSchedules has a schedule that went to a stream and was deleted, and others that need the
// stream's name for a queue, written in each way there is. While the stream's key is in Redis they are refused, at once
// or by becoming invalid. When the key is gone, the name is free.
func TestStreamsOutliveTheirSchedules(t *testing.T) {
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
	running.Go(func() { _ = forgetStreams(ctx, pool, client, log) })
	defer running.Wait()
	defer stop()

	definition := func(name, queue, stream string) domain.Definition {
		return domain.Definition{Name: name, TaskName: "t", CronExpression: "0 0 1 1 *", Queue: queue, Stream: stream}
	}
	ended := func(id domain.ID, want string) {
		t.Helper()
		testenv.Eventually(t, "the run ends as "+want, func() error {
			var status string
			err := pool.QueryRow(t.Context(), `select status || coalesce(': ' || error, '') from tactus.runs
				where schedule_id = $1 order by fired_at desc limit 1`, id).Scan(&status)
			if err == nil && !strings.HasPrefix(status, want) {
				err = fmt.Errorf("it is %q", status)
			}
			return err
		})
	}
	// leave makes a stream by one run of a schedule that has ended before it is handed over, and deletes the schedule.
	leave := func(stream string) {
		t.Helper()
		d := definition("left "+stream, "", stream)
		off := false
		d.Enabled = &off
		made, err := store.Create(t.Context(), d, "", nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := store.Trigger(t.Context(), made.ID); err != nil {
			t.Fatal(err)
		}
		ended(made.ID, "sent")
		if err := store.Delete(t.Context(), made.ID, 0); err != nil {
			t.Fatal(err)
		}
	}
	ambiguous := &domain.Error{Code: "target_ambiguous"}
	leave("tomorrow")
	fresh := func() *outbox.Store { return outbox.NewStore(pool, "", handover.Limits{}.Check) }
	kept, err := store.Create(t.Context(), definition("kept", "today", ""), "", nil)
	if err != nil {
		t.Fatal(err)
	}
	for what, write := range map[string]func() error{
		"create": func() error {
			_, err := fresh().Create(t.Context(), definition("q", "tomorrow", ""), "", nil)
			return err
		},
		"put":   func() error { _, _, err := fresh().Put(t.Context(), definition("kept", "tomorrow", "")); return err },
		"route": func() error { return fresh().PutRoute(t.Context(), domain.Route{Pattern: "a", Queue: "tomorrow"}, nil) },
		"transaction": func() error {
			tx, err := pool.Begin(t.Context())
			if err != nil {
				return err
			}
			defer func() { _ = tx.Rollback(context.Background()) }()
			_, err = outbox.Put(t.Context(), tx, definition("q", "tomorrow", ""))
			return err
		},
	} {
		if err := write(); !errors.Is(err, ambiguous) || !strings.Contains(err.Error(), `key "tomorrow" of Redis is a stream`) {
			t.Errorf("%s: %v", what, err)
		}
	}
	sql := func(name string) (id domain.ID) {
		t.Helper()
		if err := pool.QueryRow(t.Context(), `select tactus.put_schedule(json_build_object('name', $1::text, 'task_name', 't',
			'cron_expression', '0 0 1 1 *', 'queue', 'tomorrow'))`, name).Scan(&id); err != nil {
			t.Fatal(err)
		}
		return id
	}
	invalid := func(what string, id domain.ID) {
		t.Helper()
		testenv.Eventually(t, what+" is invalid", func() error {
			if _, err := store.Judge(t.Context()); err != nil {
				return err
			}
			s, err := store.Get(t.Context(), id)
			if err == nil && !strings.Contains(s.InvalidReason, `key "tomorrow" of Redis is a stream`) {
				err = fmt.Errorf("its reason is %q", s.InvalidReason)
			}
			return err
		})
	}
	invalid("what SQL wrote", sql("by SQL"))

	// A schedule that no check has refused becomes invalid with its first run. Without its row of tactus.unjudged, no
	// check looks at this one.
	late := sql("late")
	if _, err := pool.Exec(t.Context(), `delete from tactus.unjudged`); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Trigger(t.Context(), late); err != nil {
		t.Fatal(err)
	}
	ended(late, "failed: it could not be handed over: WRONGTYPE tomorrow is a stream")
	invalid("what came late", late)

	if err := client.Del(t.Context(), "tomorrow").Err(); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, "the name is free", func() error {
		_, _, err := fresh().Put(t.Context(), definition("kept", "tomorrow", ""))
		return err
	})
	if _, err := store.Trigger(t.Context(), kept.ID); err != nil {
		t.Fatal(err)
	}
	ended(kept.ID, "sent")
	again, _, err := fresh().Put(t.Context(), definition("late", "tomorrow", ""))
	if err != nil || again.InvalidReason != "" {
		t.Errorf("what is written again: %q, %v", again.InvalidReason, err)
	}
}
