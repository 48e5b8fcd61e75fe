package redis_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	goredis "github.com/redis/go-redis/v9"

	"github.com/tactus-dev/tactus/internal/redis"
	"github.com/tactus-dev/tactus/internal/testenv"
)

func publisher(t testing.TB, client goredis.UniversalClient) *redis.Publisher {
	t.Helper()
	p := redis.NewPublisher(client)
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

func texts(payloads []string) (messages []*message.Message) {
	for _, payload := range payloads {
		messages = append(messages, text(payload))
	}
	return messages
}

// published returns the payloads of a stream.
func published(t testing.TB, client goredis.UniversalClient) (payloads []string) {
	t.Helper()
	entries, err := client.XRange(t.Context(), topic, "-", "+").Result()
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		payloads = append(payloads, e.Values["payload"].(string))
	}
	return payloads
}

func TestPublisherKeepsTheOrder(t *testing.T) {
	t.Parallel()
	client := testenv.Redis(t)
	want := numbers(0, 1700) // more than a batch
	if err := publisher(t, client).Publish(topic, texts(want)...); err != nil {
		t.Fatal(err)
	}
	if got := published(t, client); !slices.Equal(got, want) {
		t.Errorf("%d messages are published, want %d", len(got), len(want))
	}
	if err := publisher(t, client).Publish(topic); err != nil {
		t.Errorf("publishing no message: %v", err)
	}
}

// TestPublisherGathers has many writers that publish one message at a time: their messages share batches, and each
// writer's messages stay in order.
func TestPublisherGathers(t *testing.T) {
	t.Parallel()
	server := testenv.RedisServer(t, nil)
	client := testenv.Client(t, server.URL(0))
	p := publisher(t, client)
	var all sync.WaitGroup
	const writers, each = 50, 40
	for w := range writers {
		all.Go(func() {
			for n := range each {
				if err := p.Publish(topic, text(fmt.Sprintf("%d/%d", w, n))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	next := map[string]int{}
	for _, payload := range published(t, client) {
		w, n, _ := strings.Cut(payload, "/")
		if n != fmt.Sprint(next[w]) {
			t.Fatalf("writer %s: message %s came, want %d", w, n, next[w])
		}
		next[w]++
	}
	if len(next) != writers {
		t.Errorf("messages of %d writers came, want %d", len(next), writers)
	}
	stats, err := client.Info(t.Context(), "commandstats").Result()
	if err != nil {
		t.Fatal(err)
	}
	var calls int
	for line := range strings.Lines(stats) {
		if rest, ok := strings.CutPrefix(line, "cmdstat_evalsha:calls="); ok {
			if _, err := fmt.Sscanf(rest, "%d,", &calls); err != nil {
				t.Fatal(err)
			}
		}
	}
	if calls == 0 || calls > writers*each/2 {
		t.Errorf("%d calls for %d messages", calls, writers*each)
	}
}

// TestPublisherStopsAtAFailure runs out of memory in the middle: no message is missing before one that was published,
// and later calls succeed.
func TestPublisherStopsAtAFailure(t *testing.T) {
	t.Parallel()
	server := testenv.RedisServer(t, map[string]string{"maxmemory-policy": "noeviction"})
	client := testenv.Client(t, server.URL(0))
	p := publisher(t, client)
	if err := p.Publish(topic, text("first")); err != nil {
		t.Fatal(err)
	}
	if err := client.ConfigSet(t.Context(), "maxmemory", "12mb").Err(); err != nil {
		t.Fatal(err)
	}
	var big []*message.Message
	for _, n := range numbers(0, 500) {
		big = append(big, text(n+strings.Repeat(" ", 50_000)))
	}
	if err := p.Publish(topic, big...); err == nil || !strings.Contains(err.Error(), "OOM") {
		t.Fatalf("got error %v, want OOM", err)
	}
	if err := client.ConfigSet(t.Context(), "maxmemory", "0").Err(); err != nil {
		t.Fatal(err)
	}
	got := published(t, client)
	if len(got) < 2 || len(got) > 500 {
		t.Fatalf("%d messages are published: memory did not end in the middle, so the test shows nothing", len(got))
	}
	for n, payload := range got[1:] {
		if strings.TrimSpace(payload) != fmt.Sprint(n) {
			t.Fatalf("message %s follows message %d", strings.TrimSpace(payload), n-1)
		}
	}
	if err := p.Publish(topic, text("next")); err != nil {
		t.Error(err)
	}
}

func TestPublisherRefuses(t *testing.T) {
	t.Parallel()
	client := testenv.Redis(t)
	p := publisher(t, client)
	reserved := text("a")
	reserved.Metadata.Set("_watermill_message_uuid", "reserved")
	if err := p.Publish(topic, text("b"), reserved); err == nil || len(published(t, client)) != 0 {
		t.Errorf("a message with reserved metadata: %v, %v", err, published(t, client))
	}
	if err := client.Set(t.Context(), "taken", "text", 0).Err(); err != nil {
		t.Fatal(err)
	}
	if err := p.Publish("taken", text("a")); err == nil || !strings.Contains(err.Error(), "WRONGTYPE") {
		t.Errorf("publishing to a string: %v", err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if err := p.Publish(topic, text("a")); err == nil {
		t.Error("a closed publisher has published")
	}
	if err := client.Ping(t.Context()).Err(); err != nil {
		t.Errorf("the client was closed too: %v", err)
	}
}

// TestPublisherGivesUp checks that Publish does not wait for an answer beyond the end of the message's context.
func TestPublisherGivesUp(t *testing.T) {
	t.Parallel()
	proxy, through := testenv.Through(t, testenv.RedisURL(t))
	p := publisher(t, connect(t, through))
	if err := p.Publish(topic, text("a")); err != nil {
		t.Fatal(err)
	}
	proxy.BlackHole(testenv.ToClient)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	late := text("b")
	late.SetContext(ctx)
	if err := p.Publish(topic, late); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("publishing without an answer: %v", err)
	}
	proxy.Heal()
	if err := p.Publish(topic, text("c")); err != nil {
		t.Error(err)
	}
}
