package redis_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	goredis "github.com/redis/go-redis/v9"

	"github.com/tactus-dev/tactus/internal/redis"
	"github.com/tactus-dev/tactus/internal/testenv"
)

// TestBoundQueues tells the names of empty queues from others, whatever their exchanges are called and however their
// workers are set up, among many keys.
func TestBoundQueues(t *testing.T) {
	t.Parallel()
	client := testenv.Redis(t)
	for key, member := range map[string]string{
		"_kombu.binding.reports":   "reports\x06\x16\x06\x16reports",
		"_kombu.binding.other":     "rk\x06\x16\x06\x16behind",
		"_kombu.binding.topic":     "a.*\x06\x16^a\\..*?$\x06\x16matched",
		"p:_kombu.binding.other":   "rk\x06\x16\x06\x16prefixed",
		"_kombu.binding.separated": "rk::own",
	} {
		if err := client.SAdd(t.Context(), key, member).Err(); err != nil {
			t.Fatal(err)
		}
	}
	pipe := client.Pipeline()
	for i := range 5000 {
		pipe.Set(t.Context(), fmt.Sprintf("celery-task-meta-%d", i), "", 0)
		pipe.SAdd(t.Context(), "_kombu.binding.large", fmt.Sprintf("%d\x06\x16\x06\x16q%d", i, i))
	}
	pipe.Set(t.Context(), "_kombu.binding.text", "", 0)
	pipe.LPush(t.Context(), "waiting", "")
	pipe.XAdd(t.Context(), &goredis.XAddArgs{Stream: "stream", Values: []string{"f", "v"}})
	if _, err := pipe.Exec(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := map[string]redis.NameUse{
		"stream": redis.Stream, "waiting": redis.List, "celery-task-meta-0": redis.OtherKey,
		"new": redis.Unused, "prefixed": redis.Unused, "rk": redis.Unused,
	}
	for _, name := range []string{
		"reports", "behind", "behind\x06\x163", "matched", "p:prefixed", "own", "own:3", "q0", "q4999",
	} {
		want[name] = redis.BoundQueue
	}
	bound, names := redis.NewBoundQueues(client, ":"), []string{}
	for name := range want {
		names = append(names, name)
	}
	got, err := bound.Uses(t.Context(), names)
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v %s", err, diff)
	}
}

// TestBoundQueuesAreLookedForRarely counts the looks through all keys: none for streams that are there, and one for
// many names. One that is given up goes on.
func TestBoundQueuesAreLookedForRarely(t *testing.T) {
	t.Parallel()
	client := testenv.Redis(t)
	if err := client.XAdd(t.Context(), &goredis.XAddArgs{Stream: "stream", Values: []string{"f", "v"}}).Err(); err != nil {
		t.Fatal(err)
	}
	looks := 0
	client.AddHook(scans{&looks})
	bound := redis.NewBoundQueues(client, "")
	for range 3 {
		if _, err := bound.Uses(t.Context(), []string{"stream"}); err != nil || looks != 0 {
			t.Fatalf("%d looks for a stream that is there, %v", looks, err)
		}
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := bound.Uses(gone, []string{"a"}); err == nil {
		t.Error("an answer that is given up is none")
	}
	if _, err := bound.Uses(t.Context(), []string{"a", "b", "c"}); err != nil || looks != 1 {
		t.Errorf("%d looks for three names, %v", looks, err)
	}
}

// scans counts the commands that begin to go through all keys.
type scans struct{ number *int }

func (s scans) DialHook(next goredis.DialHook) goredis.DialHook { return next }

func (s scans) ProcessHook(next goredis.ProcessHook) goredis.ProcessHook {
	return func(ctx context.Context, c goredis.Cmder) error {
		if c.Name() == "scan" && ctx.Err() == nil {
			*s.number++
		}
		return next(ctx, c)
	}
}

func (s scans) ProcessPipelineHook(next goredis.ProcessPipelineHook) goredis.ProcessPipelineHook {
	return next
}
