package redis_test

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/celery"
	"github.com/tactus-dev/tactus/internal/redis"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/outbox"
	"github.com/tactus-dev/tactus/relay"
)

// TestNoStreamTakesAQueuesPlace hands over to streams with the names of bound queues that are empty: no stream is made,
// and the other runs go on.
func TestNoStreamTakesAQueuesPlace(t *testing.T) {
	t.Parallel()
	client := testenv.Redis(t)
	if err := client.SAdd(t.Context(), "_kombu.binding.reports", "reports\x06\x16\x06\x16reports").Err(); err != nil {
		t.Fatal(err)
	}
	sink := taskSink(t, client)
	at, err := sink.Mark(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i, key := range []string{"reports", "reports\x06\x163"} {
		entries := tasks(int64(i+1), "first", "stream of theirs", "third")
		entries[1].Message = redis.ToStream(text("of theirs"), key)
		_, err = sink.Append(t.Context(), at, entries)
		refused, ok := errors.AsType[*relay.Refused](err)
		if !ok || refused.ID != entries[1].ID {
			t.Fatalf("%q: %v", key, err)
		}
		entries[1].Message = nil // set aside
		if at, err = sink.Append(t.Context(), refused.Real, entries[1:]); err != nil {
			t.Fatal(err)
		}
		if n, err := client.Exists(t.Context(), key).Result(); err != nil || n != 0 {
			t.Errorf("a stream %q was made, %v", key, err)
		}
	}
	if got := queue(t, client, "celery"); len(got) != 4 {
		t.Errorf("the queue has %q", got)
	}
}

// TestReservedTargetsAreNotHandedOver encodes runs of schedules that were written before their targets were refused.
func TestReservedTargetsAreNotHandedOver(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		task domain.Task
		cfg  celery.Config
	}{
		{domain.Task{Stream: "celery"}, celery.Config{}},
		{domain.Task{Stream: "unacked"}, celery.Config{}},
		{domain.Task{Stream: "tactus:events"}, celery.Config{}},
		{domain.Task{Stream: "jobs"}, celery.Config{DefaultQueue: "jobs"}},
		{domain.Task{Stream: "p:jobs"}, celery.Config{DefaultQueue: "jobs", KeyPrefix: "p:"}},
		{domain.Task{Stream: "jobs:3"}, celery.Config{DefaultQueue: "jobs", PrioritySeparator: ":"}},
		{domain.Task{Stream: "p:unacked"}, celery.Config{KeyPrefix: "p:"}},
		{domain.Task{Stream: "jobs"}, celery.Config{StreamPrefix: "jobs:"}},
		{domain.Task{Queue: "unacked_index"}, celery.Config{}},
		{domain.Task{Queue: "_kombu.binding.celery"}, celery.Config{}},
	} {
		c.task.TaskName, c.task.Args, c.task.Kwargs = "t", []byte("[]"), []byte("{}")
		data, err := json.Marshal(domain.DueRun{RunID: outbox.NewID(), Task: c.task})
		if err != nil {
			t.Fatal(err)
		}
		m, err := redis.EncodeRun(outbox.Row{Data: data}, "e", c.cfg)
		if faults := domain.FaultsOf(err); len(faults) != 1 || faults[0].Code != "target_ambiguous" {
			t.Errorf("%+v: %v, %v", c, m, err)
		}
		if err := c.cfg.Check(c.task); err == nil {
			t.Errorf("%+v is accepted for a schedule", c)
		}
	}
}
