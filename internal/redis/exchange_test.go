package redis_test

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"
	goredis "github.com/redis/go-redis/v9"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/celery"
	"github.com/tactus-dev/tactus/internal/redis"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/relay"
)

// through returns a task that goes through exchange x.
func through(t testing.TB, routingKey, queue string) *message.Message {
	t.Helper()
	return throughExchange(t, "x", routingKey, queue)
}

func throughExchange(t testing.TB, exchange, routingKey, queue string) *message.Message {
	t.Helper()
	task := domain.Task{TaskName: "t", Exchange: exchange, RoutingKey: routingKey, Queue: queue}
	to, body, err := celery.Encode(domain.DueRun{Task: task}, "0f3e", celery.Config{})
	if err != nil {
		t.Fatal(err)
	}
	m, err := redis.ToExchange(message.NewMessage("m", body), *to.Through)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// bind binds a queue as a worker does when it declares the queue.
func bind(t testing.TB, client goredis.UniversalClient, routingKey, pattern, queue string) {
	t.Helper()
	if err := client.SAdd(t.Context(), "_kombu.binding.x", strings.Join([]string{routingKey, pattern, queue}, "\x06\x16")).Err(); err != nil {
		t.Fatal(err)
	}
}

// placed returns the address of a message, to which it goes back when its worker dies.
func placed(t testing.TB, payload string) (exchange, routingKey, tag string) {
	t.Helper()
	var m struct {
		Properties struct {
			DeliveryInfo struct {
				Exchange   string `json:"exchange"`
				RoutingKey string `json:"routing_key"`
			} `json:"delivery_info"`
			DeliveryTag string `json:"delivery_tag"`
		}
	}
	if err := json.Unmarshal([]byte(payload), &m); err != nil {
		t.Fatalf("%v: %s", err, payload)
	}
	return m.Properties.DeliveryInfo.Exchange, m.Properties.DeliveryInfo.RoutingKey, m.Properties.DeliveryTag
}

func TestExchangeLeadsToWhatIsBound(t *testing.T) {
	t.Parallel()
	client := testenv.Redis(t)
	for _, b := range [][3]string{
		{"mail", "", "direct"},
		{"mail", "", "direct too"},
		{"a.*", "^a\\..*?[^\\.]$", "star"},
		{"a.#", "^a\\..*?$", "hash"},
		{"#", "^.*?$", "all"},
		{"*.b", "^.*?[^\\.]\\.b$", `ends "b"/é`},
		{"p-1.q+", "^p\\-1\\.q\\+$", "escaped"},
		{"mail", "^mail$", "all"},
		{"mail", "", ""},
	} {
		bind(t, client, b[0], b[1], b[2])
	}
	if err := client.SAdd(t.Context(), "_kombu.binding.x", "no binding", "\x06\x16").Err(); err != nil {
		t.Fatal(err)
	}
	sink, at := taskSink(t, client), at(0, 0)
	begin(t, sink)
	for n, c := range []struct {
		routingKey string
		want       []string
	}{
		{"mail", []string{"all", "direct", "direct too"}},
		{"mai", []string{"all"}},
		{"a.b", []string{"all", `ends "b"/é`, "hash", "star"}},
		{"a.b.c", []string{"all", "hash", "star"}}, // as in kombu; in AMQP * is one word
		{"a.", []string{"all", "hash"}},
		{"a", []string{"all"}},
		{"x.b", []string{"all", `ends "b"/é`}},
		{"p-1.q+", []string{"all", "escaped"}},
		{"p-1.qq", []string{"all"}},
		{"%d.%", []string{"all"}},
	} {
		entry := relay.Entry{ID: relay.ID{Batch: 1, Seq: int64(n + 1)}, Message: through(t, c.routingKey, "")}
		now, err := sink.Append(t.Context(), at, []relay.Entry{entry})
		if err != nil {
			t.Fatalf("%s: %v", c.routingKey, err)
		}
		at = now
		var got []string
		for _, q := range []string{"all", "direct", "direct too", `ends "b"/é`, "escaped", "hash", "star", ""} {
			payload, err := client.LPop(t.Context(), q).Result()
			if errors.Is(err, goredis.Nil) {
				continue
			}
			exchange, routingKey, tag := placed(t, payload)
			got = append(got, q)
			want := "0f3e"
			if len(got) > 1 {
				want = fmt.Sprint("0f3e-", len(got))
			}
			if exchange != "" || routingKey != q || tag != want {
				t.Errorf("%s: the copy in %q goes back to %q %q with tag %q", c.routingKey, q, exchange, routingKey, tag)
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: got %q, want %q", c.routingKey, got, c.want)
		}
	}
}

// TestExchangeWithoutBinding checks that a task without a bound queue goes to the task's own queue, or is refused.
func TestExchangeWithoutBinding(t *testing.T) {
	t.Parallel()
	client := testenv.Redis(t)
	sink := taskSink(t, client)
	begin(t, sink)
	entries := tasks(1, "a", "b", "c", "d")
	entries[1].Message, entries[2].Message = through(t, "mail", "own"), through(t, "mail", "")
	_, err := sink.Append(t.Context(), at(0, 0), entries)
	r, ok := errors.AsType[*relay.Refused](err)
	if !ok || r.ID != entries[2].ID || r.Real != at(1, 2) || !strings.Contains(r.Reason, "no queue is bound to exchange x with routing key mail") {
		t.Fatal(err)
	}
	entries[2].Message = nil
	fill(t, sink, r.Real, entries[2:])
	if got := queue(t, client, "celery"); !slices.Equal(got, []string{"a", "d"}) {
		t.Errorf("the default queue has %v", got)
	}
	if exchange, routingKey, tag := placed(t, queue(t, client, "own")[0]); exchange != "" || routingKey != "own" || tag != "0f3e" {
		t.Errorf("the copy in its own queue goes back to %q %q with tag %q", exchange, routingKey, tag)
	}
}

// TestTopicBindingsAsKombuHasThem compares our matching with the regular expressions that kombu makes of bindings.
func TestTopicBindingsAsKombuHasThem(t *testing.T) {
	t.Parallel()
	client := testenv.Redis(t)
	sink, mark := taskSink(t, client), at(0, 0)
	begin(t, sink)
	random := rand.New(rand.NewPCG(1, 2))
	words := func(among []string) string {
		all := make([]string, random.IntN(6))
		for i := range all {
			all[i] = among[random.IntN(len(among))]
		}
		return strings.Join(all, ".")
	}
	wildcards := map[string]string{"*": `.*?[^\.]`, "#": `.*?`}
	for n := range 200 {
		key, bound := "k"+words([]string{"a", "b", "ab", ""}), map[string]bool{}
		var want []string
		for range 20 {
			binding := words([]string{"a", "b", "ab", "*", "#", "#", "k", "ka", ""})
			if bound[binding] {
				continue
			}
			bound[binding] = true
			parts := strings.Split(binding, ".")
			for i, word := range parts {
				parts[i] = cmp.Or(wildcards[word], word)
			}
			pattern := "^" + strings.Join(parts, `\.`) + "$"
			bind(t, client, binding, pattern, "q:"+binding)
			if regexp.MustCompile(pattern).MatchString(key) {
				want = append(want, "q:"+binding)
			}
		}
		entry := relay.Entry{ID: relay.ID{Batch: 1, Seq: int64(n + 1)}, Message: through(t, key, "unbound")}
		mark = fill(t, sink, mark, []relay.Entry{entry})
		if len(want) == 0 {
			want = []string{"unbound"}
		}
		slices.Sort(want)
		got, err := client.Keys(t.Context(), "[qu]*").Result()
		if slices.Sort(got); err != nil || !slices.Equal(got, want) {
			t.Fatalf("%q leads to %q, want %q: %v", key, got, want, err)
		}
		if err := client.Del(t.Context(), append(got, "_kombu.binding.x")...).Err(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestTopicBindingsTakeNoTime has bindings that take a backtracking pattern exponential time.
func TestTopicBindingsTakeNoTime(t *testing.T) {
	t.Parallel()
	server := testenv.RedisServer(t, nil)
	client := testenv.Client(t, server.URL(0))
	for n, binding := range []string{
		strings.Repeat("#.a.", 30) + "b", strings.Repeat("*.", 60) + "b", strings.Repeat("#.", 100_000) + "b", strings.Repeat("%.", 80),
	} {
		bind(t, client, binding, "^a pattern$", fmt.Sprint("q", n))
	}
	sink := taskSink(t, client)
	begin(t, sink)
	before := yardstick(t, client)
	fill(t, sink, at(0, 0), []relay.Entry{{ID: relay.ID{Batch: 1, Seq: 1}, Message: through(t, strings.Repeat("a.", 120)+"a", "own")}})
	if got := queue(t, client, "own"); len(got) != 1 {
		t.Errorf("its own queue has %v", got)
	}
	if took, after := longest(t, client), yardstick(t, client); took > 10*max(before, after) {
		t.Errorf("a call takes %d µs: a count to ten million takes %d", took, max(before, after))
	}
}

// TestExchangeIsAllOrNothing binds one queue that cannot take a message among queues that can.
func TestExchangeIsAllOrNothing(t *testing.T) {
	t.Parallel()
	server := testenv.RedisServer(t, nil)
	admin := testenv.Client(t, server.URL(0))
	if err := admin.Do(t.Context(), "acl", "setuser", "relay", "on", ">secret", "~tactus:*", "~_kombu*", "~q*", "~celery", "+@all").Err(); err != nil {
		t.Fatal(err)
	}
	_ = admin.Do(t.Context(), "acl", "setuser", "relay", "%R~seen") // Redis 6 has no read-only keys
	sink := taskSink(t, testenv.Client(t, fmt.Sprintf("redis://relay:secret@%s/0", server.Addr())))
	begin(t, sink)
	mark := at(0, 0)
	for _, c := range []struct{ bad, taken, reason string }{
		{"q2", "q2", "WRONGTYPE q2 is a string"},
		{"unseen", "", ""}, // each version words the error differently
		{"seen", "", ""},   // fails when q1 has its copy already; read-only where the ACL has that
		{"", "_kombu.binding.x", "WRONGTYPE _kombu.binding.x is a string"},
	} {
		if err := admin.Del(t.Context(), "_kombu.binding.x", "q2").Err(); err != nil {
			t.Fatal(err)
		}
		if c.bad != "" {
			for _, q := range []string{"q1", c.bad, "q9"} {
				bind(t, admin, "mail", "", q)
			}
		}
		if c.taken != "" {
			if err := admin.Set(t.Context(), c.taken, "text", 0).Err(); err != nil {
				t.Fatal(err)
			}
		}
		entries := tasks(mark.Last.Batch+1, "a", "b")
		entries[0].Message = through(t, "mail", "")
		_, err := sink.Append(t.Context(), mark, entries)
		r, ok := errors.AsType[*relay.Refused](err)
		if !ok || r.ID != entries[0].ID || !strings.Contains(r.Reason, c.reason) {
			t.Fatalf("%+v: %v", c, err)
		}
		if n := admin.Exists(t.Context(), "q1", "seen", "unseen", "q9").Val(); n != 0 {
			t.Errorf("%+v: %d queues have the message", c, n)
		}
		entries[0].Message = nil
		if mark, err = sink.Append(t.Context(), r.Real, entries); err != nil {
			t.Fatal(err)
		}
	}
}

// TestFanoutExchange publishes to the workers that listen, and puts nothing into their queues, which nobody reads.
func TestFanoutExchange(t *testing.T) {
	t.Parallel()
	server := testenv.RedisServer(t, nil)
	client := testenv.Client(t, server.URL(0))
	bind(t, client, "mail", "", "bcast.1")
	sub := client.PSubscribe(t.Context(), "/0.x/mail")
	t.Cleanup(func() { _ = sub.Close() })
	if _, err := sub.Receive(t.Context()); err != nil {
		t.Fatal(err)
	}
	sink := taskSink(t, client)
	begin(t, sink)
	fill(t, sink, at(0, 0), []relay.Entry{{ID: relay.ID{Batch: 1, Seq: 1}, Message: through(t, "mail", "own")}})
	ctx, cancel := context.WithTimeout(t.Context(), testenv.Patience)
	defer cancel()
	m, err := sub.ReceiveMessage(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if exchange, routingKey, tag := placed(t, m.Payload); exchange != "x" || routingKey != "mail" || tag != "0f3e" {
		t.Errorf("the message is addressed to %q %q with tag %q", exchange, routingKey, tag)
	}
	if n := client.Exists(t.Context(), "bcast.1", "own").Val(); n != 0 {
		t.Error("the message is in a queue, too")
	}
}
