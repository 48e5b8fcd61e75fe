package redis_test

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	goredis "github.com/redis/go-redis/v9"

	"github.com/tactus-dev/tactus/internal/redis"
	"github.com/tactus-dev/tactus/internal/testenv"
)

const topic = "orders"

func subscriber(t testing.TB, client goredis.UniversalClient, cfg redis.SubscriberConfig) *redis.Subscriber {
	t.Helper()
	if cfg.Group == "" {
		cfg.Group = "group"
	}
	s, err := redis.NewSubscriber(client, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func subscribe(t testing.TB, s message.Subscriber) <-chan *message.Message {
	t.Helper()
	messages, err := s.Subscribe(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	return messages
}

// add appends entries of Watermill's format.
func add(t testing.TB, client goredis.UniversalClient, payloads ...string) {
	t.Helper()
	_, err := client.Pipelined(t.Context(), func(p goredis.Pipeliner) error {
		for _, payload := range payloads {
			p.XAdd(t.Context(), &goredis.XAddArgs{Stream: topic, Values: []any{"_watermill_message_uuid", "u-" + payload, "metadata", "", "payload", payload}})
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func numbers(from, to int) (all []string) {
	for n := from; n < to; n++ {
		all = append(all, strconv.Itoa(n))
	}
	return all
}

// receive waits for a message.
func receive(t testing.TB, messages <-chan *message.Message) *message.Message {
	t.Helper()
	select {
	case m, ok := <-messages:
		if !ok {
			t.Fatal("the channel was closed too early")
		}
		return m
	case <-time.After(testenv.Patience):
		t.Fatal("no message came")
	}
	return nil
}

// take receives and acknowledges n messages.
func take(t testing.TB, messages <-chan *message.Message, n int) (payloads []string) {
	t.Helper()
	for range n {
		m := receive(t, messages)
		payloads = append(payloads, string(m.Payload))
		m.Ack()
	}
	return payloads
}

func awaitPending(t testing.TB, client goredis.UniversalClient, want int64) {
	t.Helper()
	testenv.Eventually(t, "pending", func() error {
		pending, err := client.XPending(t.Context(), topic, "group").Result()
		if err == nil && pending.Count != want {
			err = fmt.Errorf("%d entries are pending, want %d", pending.Count, want)
		}
		return err
	})
}

func TestSubscriberDeliversInOrder(t *testing.T) {
	t.Parallel()
	client := testenv.Redis(t)
	messages := subscribe(t, subscriber(t, client, redis.SubscriberConfig{}))
	want := numbers(0, 3000)
	add(t, client, want...)
	if got := take(t, messages, len(want)); !slices.Equal(got, want) {
		t.Error("the messages came in the wrong order")
	}
	awaitPending(t, client, 0)
}

// TestSubscriberHasSeveralUnacknowledged checks that up to two batches are unacknowledged at once, and no more.
func TestSubscriberHasSeveralUnacknowledged(t *testing.T) {
	t.Parallel()
	client := testenv.Redis(t)
	messages := subscribe(t, subscriber(t, client, redis.SubscriberConfig{Batch: 10}))
	add(t, client, numbers(0, 50)...)
	var held []*message.Message
	for range 20 {
		held = append(held, receive(t, messages))
	}
	awaitPending(t, client, 20)
	held[7].Ack() // behind a message that is not acknowledged yet
	if got := receive(t, messages); string(got.Payload) != "20" {
		t.Errorf("then came %s", got.Payload)
	}
	awaitPending(t, client, 20)
	acknowledged := nthID(t, client, 7)
	pending, err := client.XPendingExt(t.Context(), &goredis.XPendingExtArgs{Stream: topic, Group: "group", Start: acknowledged, End: acknowledged, Count: 1}).Result()
	if err != nil || len(pending) != 0 {
		t.Errorf("%s is acknowledged and still pending: %v, %v", acknowledged, pending, err)
	}
}

// nthID returns the ID of the nth entry.
func nthID(t testing.TB, client goredis.UniversalClient, n int) string {
	t.Helper()
	entries, err := client.XRangeN(t.Context(), topic, "-", "+", int64(n+1)).Result()
	if err != nil || len(entries) <= n {
		t.Fatalf("%v, %v", entries, err)
	}
	return entries[n].ID
}

func TestSubscriberDeliversRefusedAgain(t *testing.T) {
	t.Parallel()
	client := testenv.Redis(t)
	messages := subscribe(t, subscriber(t, client, redis.SubscriberConfig{Resend: time.Millisecond}))
	add(t, client, "a", "b")
	first := receive(t, messages)
	first.Nack()
	got := take(t, messages, 2)
	slices.Sort(got) // b may not have been read when a comes again
	if !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("then came %v", got)
	}
	awaitPending(t, client, 0)
	select {
	case <-first.Context().Done():
	case <-time.After(testenv.Patience):
		t.Error("the refused message's context did not end")
	}
}

func TestSubscriberEndsContextsOfAcknowledged(t *testing.T) {
	t.Parallel()
	client := testenv.Redis(t)
	messages := subscribe(t, subscriber(t, client, redis.SubscriberConfig{}))
	add(t, client, "a")
	m := receive(t, messages)
	if err := m.Context().Err(); err != nil {
		t.Errorf("before: %v", err)
	}
	m.Ack()
	select {
	case <-m.Context().Done():
	case <-time.After(testenv.Patience):
		t.Error("the message's context did not end")
	}
}

// TestSubscriberTakesUpWhatItLeft has a consumer come back under its name, and receive what it had not acknowledged.
func TestSubscriberTakesUpWhatItLeft(t *testing.T) {
	t.Parallel()
	client := testenv.Redis(t)
	cfg := redis.SubscriberConfig{Consumer: "one", Batch: 4}
	before := subscriber(t, client, cfg)
	messages := subscribe(t, before)
	add(t, client, numbers(0, 20)...)
	take(t, messages, 3)
	awaitPending(t, client, 8)
	if err := before.Close(); err != nil {
		t.Fatal(err)
	}
	want := numbers(3, 20)
	if got := take(t, subscribe(t, subscriber(t, client, cfg)), len(want)); !slices.Equal(got, want) {
		t.Errorf("came: %v", got)
	}
	awaitPending(t, client, 0)
}

// TestSubscriberClaimsWhatTheDeadLeft claims 100,000 messages of a dead consumer.
func TestSubscriberClaimsWhatTheDeadLeft(t *testing.T) {
	t.Parallel()
	client := testenv.Redis(t)
	const n = 100_000
	for from := 0; from < n; from += 10_000 {
		add(t, client, numbers(from, from+10_000)...)
	}
	if err := client.XGroupCreate(t.Context(), topic, "group", "0").Err(); err != nil {
		t.Fatal(err)
	}
	dead := &goredis.XReadGroupArgs{Group: "group", Consumer: "dead", Streams: []string{topic, ">"}, Count: n / 20, Block: -1}
	var err error
	for err == nil { // until there is no more; an answer that is late on a busy machine is read again, and has others
		err = client.XReadGroup(t.Context(), dead).Err()
	}
	if err != goredis.Nil {
		t.Fatal(err)
	}
	add(t, client, "new")
	messages := subscribe(t, subscriber(t, client, redis.SubscriberConfig{Idle: 500 * time.Millisecond}))
	seen := map[string]bool{}
	for len(seen) < n+1 {
		m := receive(t, messages)
		seen[string(m.Payload)] = true
		m.Ack()
	}
	awaitPending(t, client, 0)
}

// TestSubscriberHoldsOn has a slow consumer, which shows again and again that it is still at work, so that nobody
// claims its messages.
func TestSubscriberHoldsOn(t *testing.T) {
	t.Parallel()
	client := testenv.Redis(t)
	slow := subscribe(t, subscriber(t, client, redis.SubscriberConfig{Consumer: "slow", Idle: 300 * time.Millisecond}))
	add(t, client, "a")
	held := receive(t, slow)
	var last goredis.XPendingExt
	for shown := 0; shown < 5; {
		testenv.Eventually(t, "it holds on", func() error {
			pending, err := client.XPendingExt(t.Context(), &goredis.XPendingExtArgs{
				Stream: topic, Group: "group", Start: "-", End: "+", Count: 2,
			}).Result()
			if err != nil || len(pending) != 1 || pending[0].Consumer != "slow" {
				t.Fatalf("%+v, %v", pending, err)
			}
			before := last
			last = pending[0]
			// To be claimed makes it a delivery more.
			if last.Idle >= before.Idle || last.RetryCount != before.RetryCount {
				return fmt.Errorf("the message was left alone for %s", last.Idle)
			}
			shown++
			return nil
		})
	}
	held.Ack()
	awaitPending(t, client, 0)
}

func TestSubscriberMakesItsGroupAgain(t *testing.T) {
	t.Parallel()
	client := testenv.Redis(t)
	messages := subscribe(t, subscriber(t, client, redis.SubscriberConfig{}))
	add(t, client, "a")
	take(t, messages, 1)
	awaitPending(t, client, 0)
	if err := client.Del(t.Context(), topic).Err(); err != nil {
		t.Fatal(err)
	}
	add(t, client, "b", "c")
	if got := take(t, messages, 2); !slices.Equal(got, []string{"b", "c"}) {
		t.Errorf("came: %v", got)
	}
}

func TestSubscriberSetsAsideWhatItCannotRead(t *testing.T) {
	t.Parallel()
	client := testenv.Redis(t)
	messages := subscribe(t, subscriber(t, client, redis.SubscriberConfig{}))
	add(t, client, "a")
	id, err := client.XAdd(t.Context(), &goredis.XAddArgs{Stream: topic, Values: []any{"what", "is this"}}).Result()
	if err != nil {
		t.Fatal(err)
	}
	bad := []any{"_watermill_message_uuid", "u", "metadata", "\xc1 no msgpack", "payload", "p"}
	if err := client.XAdd(t.Context(), &goredis.XAddArgs{Stream: topic, Values: bad}).Err(); err != nil {
		t.Fatal(err)
	}
	add(t, client, "b")
	if got := take(t, messages, 2); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("came: %v", got)
	}
	awaitPending(t, client, 0)
	letters, err := client.XRange(t.Context(), redis.DeadLetters(topic), "-", "+").Result()
	if err != nil || len(letters) != 2 {
		t.Fatalf("%d dead letters, %v", len(letters), err)
	}
	first := letters[0].Values
	if first["what"] != "is this" || first["tactus-id"] != id || first["tactus-group"] != "group" || first["tactus-stream"] != topic ||
		!strings.Contains(first["tactus-reason"].(string), "the entry has no field _watermill_message_uuid") {
		t.Errorf("the dead letter is %v", first)
	}
}

// TestSubscriberOutlivesOutages kills Redis with messages in flight, and cuts connections while it reads.
func TestSubscriberOutlivesOutages(t *testing.T) {
	t.Parallel()
	server := testenv.RedisServer(t, map[string]string{"appendonly": "yes", "appendfsync": "always"})
	direct := testenv.Client(t, server.URL(0))
	proxy, through := testenv.Through(t, server.URL(0))
	messages := subscribe(t, subscriber(t, connect(t, through), redis.SubscriberConfig{Batch: 10, Consumer: "one"}))

	var mu sync.Mutex
	seen := map[string]int{}
	go func() {
		for m := range messages {
			mu.Lock()
			seen[string(m.Payload)]++
			mu.Unlock()
			m.Ack()
		}
	}()
	await := func(n int) {
		testenv.Eventually(t, fmt.Sprintf("%d messages", n), func() error {
			mu.Lock()
			defer mu.Unlock()
			if len(seen) != n {
				return fmt.Errorf("%d have come", len(seen))
			}
			return nil
		})
	}
	add(t, direct, numbers(0, 25)...)
	await(25)
	proxy.Cut(testenv.ToClient, 300) // in the middle of an answer, so the entries in the answer are pending
	add(t, direct, numbers(25, 100)...)
	await(100)
	proxy.Cut(testenv.ToServer, 50)
	add(t, direct, numbers(100, 200)...)
	await(200)
	if err := server.Kill(); err != nil {
		t.Fatal(err)
	}
	proxy.Reset()
	if err := server.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	add(t, direct, numbers(200, 300)...)
	await(300)
	awaitPending(t, direct, 0)
}

// TestSubscriberStartsWhileRedisIsAway subscribes while Redis is away, and receives what is published once Redis is
// back.
func TestSubscriberStartsWhileRedisIsAway(t *testing.T) {
	t.Parallel()
	url := testenv.RedisURL(t)
	proxy, through := testenv.Through(t, url)
	proxy.Refuse()
	messages := subscribe(t, subscriber(t, testenv.Client(t, through), redis.SubscriberConfig{}))
	direct := testenv.Client(t, url)
	add(t, direct, "a")
	proxy.Heal()
	if got := take(t, messages, 1); !slices.Equal(got, []string{"a"}) {
		t.Errorf("came: %v", got)
	}
}

func TestSubscriberClosesOnlyWhatIsItsOwn(t *testing.T) {
	t.Parallel()
	client := testenv.Redis(t)
	s := subscriber(t, client, redis.SubscriberConfig{})
	ctx, cancel := context.WithCancel(t.Context())
	one, err := s.Subscribe(ctx, topic)
	if err != nil {
		t.Fatal(err)
	}
	two := subscribe(t, s)
	cancel()
	awaitClosed(t, one)
	add(t, client, "a")
	take(t, two, 1)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	awaitClosed(t, two)
	awaitPending(t, client, 0)
	if err := client.Ping(t.Context()).Err(); err != nil {
		t.Errorf("the client was closed too: %v", err)
	}
	if _, err := s.Subscribe(t.Context(), topic); err == nil {
		t.Error("a closed subscriber subscribed")
	}
}

func awaitClosed(t *testing.T, messages <-chan *message.Message) {
	t.Helper()
	for {
		select {
		case _, ok := <-messages:
			if !ok {
				return
			}
		case <-time.After(testenv.Patience):
			t.Fatal("the channel was not closed")
		}
	}
}

func TestSubscriberRefuses(t *testing.T) {
	t.Parallel()
	client := testenv.Redis(t)
	if _, err := redis.NewSubscriber(client, redis.SubscriberConfig{}); err == nil {
		t.Error("a subscriber without a group was made")
	}
	if err := client.Set(t.Context(), topic, "text", 0).Err(); err != nil {
		t.Fatal(err)
	}
	if _, err := subscriber(t, client, redis.SubscriberConfig{}).Subscribe(t.Context(), topic); err == nil || !strings.Contains(err.Error(), "WRONGTYPE") {
		t.Errorf("subscribing to a string: %v", err)
	}
}
