package redis_test

import (
	"fmt"
	"net"
	"slices"
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"github.com/tactus-dev/tactus/internal/redis"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/relay"
)

// TestSentinelFailover kills the primary: sinks and feed go on with the replica that Sentinel promotes. Of three
// Sentinels, the first that the URL names is dead by then, and the two that are left agree.
func TestSentinelFailover(t *testing.T) {
	t.Parallel()
	for number, quorum := range map[int]int{1: 1, 3: 2} {
		t.Run(fmt.Sprintf("%d of %d", quorum, number), func(t *testing.T) {
			t.Parallel()
			failOver(t, number, quorum)
		})
	}
}

func failOver(t *testing.T, number, quorum int) {
	t.Helper()
	primary := testenv.RedisServer(t, map[string]string{"repl-diskless-sync-delay": "0"})
	_, port, err := net.SplitHostPort(primary.Addr())
	if err != nil {
		t.Fatal(err)
	}
	server := testenv.RedisServer(t, map[string]string{"replicaof": "127.0.0.1 " + port, "repl-diskless-sync-delay": "0"})
	successor := testenv.Client(t, server.URL(0))
	sentinels, url := testenv.Sentinels(t, primary, 1, number, quorum)
	client := connect(t, url)
	events, tasks := eventSink(t, client), taskSink(t, client)
	begin(t, tasks)
	fill(t, events, at(0, 0), batch(t, 1, 5))
	fill(t, tasks, at(0, 0), kinds["tasks"].entries(t, 1, 5))
	awaitMark(t, taskSink(t, successor), at(1, 5))
	ear := listen(t, t.Context(), client, "1-5")
	testenv.Eventually(t, "the group is replicated", func() error {
		groups, err := successor.XInfoGroups(t.Context(), redis.EventStream).Result()
		if err == nil && len(groups) != 1 {
			err = fmt.Errorf("the replica has %d groups", len(groups))
		}
		return err
	})

	if number > 1 {
		if err := sentinels[0].Kill(); err != nil {
			t.Fatal(err)
		}
	}
	if err := primary.Kill(); err != nil {
		t.Fatal(err)
	}
	appendAtLast(t, events, at(1, 5), batch(t, 2, 5))
	appendAtLast(t, tasks, at(1, 5), kinds["tasks"].entries(t, 2, 5))
	ear.hears(t, batch(t, 2, 5))
	wantHeld(t, kinds["events"], successor, slices.Concat(span(1, 1, 5), span(2, 1, 5)))
	wantHeld(t, kinds["tasks"], successor, slices.Concat(span(1, 1, 5), span(2, 1, 5)))
}

// appendAtLast retries an append until the sink can be reached again, and its mark is still the same.
func appendAtLast(t *testing.T, s relay.Sink, from relay.Mark, entries []relay.Entry) {
	t.Helper()
	testenv.Eventually(t, "append", func() error {
		if now, err := s.Mark(t.Context()); err != nil || now != from {
			return fmt.Errorf("the sink is at %+v: %w", now, err)
		}
		_, err := s.Append(t.Context(), from, entries)
		return err
	})
}

// TestCluster runs event sink, feed, publisher and subscriber on a Cluster of three nodes.
func TestCluster(t *testing.T) {
	t.Parallel()
	_, url := testenv.Cluster(t)
	client := connect(t, url)
	if _, ok := client.(*goredis.ClusterClient); !ok {
		t.Fatalf("the client is a %T", client)
	}
	sink := redis.NewEventSink(client, redis.EventConfig{Channel: "updates"})
	begin(t, sink)
	ear := listen(t, t.Context(), client, "0-0")
	fill(t, sink, at(0, 0), batch(t, 1, 300))
	ear.hears(t, batch(t, 1, 300))
	ear.awaitLag(t, 0)
	if n := sink.Unpublished(); n != 0 {
		t.Errorf("%d notices were refused", n)
	}

	if err := client.XAdd(t.Context(), &goredis.XAddArgs{Stream: redis.EventStream, Values: []any{"foreign", "entry"}}).Err(); err != nil {
		t.Fatal(err)
	}
	ear.awaitLost(t, "cannot be read")
	fill(t, sink, at(1, 300), batch(t, 2, 2))
	if letters, err := client.XLen(t.Context(), redis.DeadLetters(redis.EventStream)).Result(); err != nil || letters != 1 {
		t.Errorf("%d dead letters, %v", letters, err)
	}
	if got, err := sink.Trim(t.Context(), relay.ID{Batch: 2}); err != nil || got.Entries == 0 {
		t.Errorf("trimmed: %+v, %v", got, err)
	}
	wantMark(t, sink, at(2, 2))

	want := numbers(0, 700)
	if err := publisher(t, client).Publish(topic, texts(want)...); err != nil {
		t.Fatal(err)
	}
	if got := take(t, subscribe(t, subscriber(t, client, redis.SubscriberConfig{})), len(want)); !slices.Equal(got, want) {
		t.Errorf("%d messages came, in the wrong order", len(got))
	}
}
