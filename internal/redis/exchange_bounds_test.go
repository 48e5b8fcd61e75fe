package redis_test

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
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

// bindMany binds queues to exchange x by one routing key.
func bindMany(t *testing.T, client goredis.UniversalClient, n int) {
	t.Helper()
	for at := 0; at < n; at += 1000 {
		var members []any
		for i := at; i < min(n, at+1000); i++ {
			members = append(members, fmt.Sprintf("mail\x06\x16\x06\x16q%d", i))
		}
		if err := client.SAdd(t.Context(), "_kombu.binding.x", members...).Err(); err != nil {
			t.Fatal(err)
		}
	}
}

func large(t *testing.T, routingKey string, size int) *message.Message {
	t.Helper()
	task := domain.Task{TaskName: "t", Exchange: "x", RoutingKey: routingKey, Kwargs: fmt.Appendf(nil, `{"text":%q}`, strings.Repeat("x", size))}
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

// refusedAlone appends an entry between two others, and checks that the entry alone is refused, for the given reason,
// and that no call of a script has kept the server, which is the test's own, for long.
func refusedAlone(t *testing.T, client goredis.UniversalClient, bad *message.Message, reason string) {
	t.Helper()
	sink := taskSink(t, client)
	begin(t, sink)
	entries := tasks(1, "a", "b", "c")
	entries[1].Message = bad
	before := yardstick(t, client)
	_, err := sink.Append(t.Context(), at(0, 0), entries)
	r, ok := errors.AsType[*relay.Refused](err)
	if !ok || r.ID != entries[1].ID || !strings.Contains(r.Reason, reason) {
		t.Fatalf("%v, want %s", err, reason)
	}
	entries[1].Message = nil
	fill(t, sink, r.Real, entries[1:])
	if got := queue(t, client, "celery"); len(got) != 2 {
		t.Errorf("the default queue has %v", got)
	}
	if took, after := longest(t, client), yardstick(t, client); took > 30*max(before, after) {
		t.Errorf("a call takes %d µs: a count to ten million takes %d", took, max(before, after))
	}
}

// TestExchangeOfTooManyBindings has so many bindings that to go through them for each run would block the broker.
func TestExchangeOfTooManyBindings(t *testing.T) {
	t.Parallel()
	client := testenv.Client(t, testenv.RedisServer(t, nil).URL(0))
	bindMany(t, client, 100_000)
	refusedAlone(t, client, through(t, "mail", ""), "exchange x has 100000 bindings: at most 10000")
}

// TestExchangeOfTooManyCopies hands over to thousands of queues: a small message gets to all of them, and a large one,
// whose copies would fill the broker's memory, to none.
func TestExchangeOfTooManyCopies(t *testing.T) {
	t.Parallel()
	client := testenv.Client(t, testenv.RedisServer(t, nil).URL(0))
	bindMany(t, client, 5000)
	refusedAlone(t, client, large(t, "mail", 100<<10), "5000 queues for routing key mail")
	if n := client.Exists(t.Context(), "q0", "q4999").Val(); n != 0 {
		t.Errorf("%d queues have a copy of what was refused", n)
	}
	sink := taskSink(t, client)
	mark, err := sink.Mark(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	entries := []relay.Entry{{ID: relay.ID{Batch: mark.Last.Batch + 1, Seq: 1}, Message: through(t, "mail", "")}}
	if _, err := sink.Append(t.Context(), mark, entries); err != nil {
		t.Fatal(err)
	}
	if n := client.Exists(t.Context(), "q0", "q2500", "q4999").Val(); n != 3 {
		t.Errorf("%d of 3 queues have the message", n)
	}
}

// TestCallsAreBoundedInBytes hands many runs over whose copies come to 600 MiB: no call of the script makes more than
// one of 64 MiB and a run's own, and all runs arrive in order.
func TestCallsAreBoundedInBytes(t *testing.T) {
	t.Parallel()
	client := testenv.Client(t, testenv.RedisServer(t, nil).URL(0))
	bindMany(t, client, 200)
	sink := taskSink(t, client)
	begin(t, sink)
	before := client.Info(t.Context(), "commandstats").Val()
	entries := tasks(1, slices.Repeat([]string{"a"}, 100)...)
	for i := range entries {
		entries[i].Message = large(t, "mail", 30<<10)
	}
	if err := appended(t, sink, entries); err != nil {
		t.Fatal(err)
	}
	for _, queue := range []string{"q0", "q199"} {
		if n := client.LLen(t.Context(), queue).Val(); n != 100 {
			t.Errorf("%s has %d of 100 runs", queue, n)
		}
	}
	after := client.Info(t.Context(), "commandstats").Val()
	if calls := commandCalls(after, "evalsha", "eval") - commandCalls(before, "evalsha", "eval"); calls < 9 {
		t.Errorf("%d calls", calls)
	}
}

// commandCalls returns how often a server has run some commands.
func commandCalls(stats string, commands ...string) (calls int) {
	for line := range strings.SplitSeq(stats, "\r\n") {
		for _, command := range commands {
			var n int
			if _, err := fmt.Sscanf(line, "cmdstat_"+command+":calls=%d", &n); err == nil {
				calls += n
			}
		}
	}
	return calls
}

// TestExchangesKeepNobodyWaiting hands over through exchanges of the most bindings that are looked at: through many of
// them, by many routing keys past patterns, and to thousands of queues again and again. What takes long is divided
// among several calls of the script, between which the server is free for others.
func TestExchangesKeepNobodyWaiting(t *testing.T) {
	t.Parallel()
	const bindings = 10_000
	direct := func(n int) string { return fmt.Sprintf("k%d\x06\x16\x06\x16q%d", n, n) }
	for name, c := range map[string]struct {
		exchanges int
		binding   func(n int) string // as a member of the set
		runs      int                // which would fit into one call
		key       func(n int) string
		queues    []string // to which runs of the last exchange go
		calls     int      // at least
	}{
		"many exchanges": {12, direct, 12, func(int) string { return "k1" }, []string{"q1"}, 3},
		"patterns that are passed over": {
			1, func(n int) string { return fmt.Sprintf("other.%d.*\x06\x16^other$\x06\x16q%d", n, n) },
			100, func(n int) string { return fmt.Sprint("other.", n, ".x") },
			[]string{"q0", "q99"},
			2,
		},
		"many queues": {
			1, func(n int) string { return fmt.Sprintf("mail\x06\x16\x06\x16q%d", n) },
			8, func(int) string { return "mail" },
			[]string{"q0", "q9999"},
			4,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// A client that waits as long as an answer takes sends nothing twice on a busy machine.
			url := testenv.RedisServer(t, map[string]string{"lua-time-limit": "600000"}).URL(0) + "?read_timeout=-1"
			client := testenv.Client(t, url)
			for n := range c.exchanges {
				var members []any
				for i := range bindings {
					members = append(members, c.binding(i))
				}
				if err := client.SAdd(t.Context(), fmt.Sprint("_kombu.binding.x", n), members...).Err(); err != nil {
					t.Fatal(err)
				}
			}
			var entries []relay.Entry
			for i := range c.runs {
				m := throughExchange(t, fmt.Sprint("x", i%c.exchanges), c.key(i), "")
				entries = append(entries, relay.Entry{ID: relay.ID{Batch: 1, Seq: int64(i + 1)}, Message: m})
			}
			sink := taskSink(t, client)
			begin(t, sink)
			if _, err := sink.Append(t.Context(), at(0, 0), entries[:1]); err != nil { // which loads the script
				t.Fatal(err)
			}
			before := client.Info(t.Context(), "commandstats").Val()
			if _, err := sink.Append(t.Context(), at(1, 1), entries[1:]); err != nil {
				t.Fatal(err)
			}
			after := client.Info(t.Context(), "commandstats").Val()
			if calls := commandCalls(after, "evalsha") - commandCalls(before, "evalsha"); calls < c.calls {
				t.Errorf("%d calls of the script, not %d", calls, c.calls)
			}
			for _, queue := range c.queues {
				if n := client.LLen(t.Context(), queue).Val(); n == 0 {
					t.Errorf("%s has nothing", queue)
				}
			}
		})
	}
}

// TestRoutingKeysAreLookedUp hands over by many routing keys that are bound to an exchange directly: to find the queue
// of each takes the server no longer the more there are bound.
func TestRoutingKeysAreLookedUp(t *testing.T) {
	client := testenv.Client(t, testenv.RedisServer(t, nil).URL(0))
	took := map[int]float64{}
	for _, bound := range []int{100, 10_000} {
		client.FlushAll(t.Context())
		var members []any
		for i := range bound {
			members = append(members, fmt.Sprintf("k%d\x06\x16\x06\x16q%d", i, i))
		}
		if err := client.SAdd(t.Context(), "_kombu.binding.x", members...).Err(); err != nil {
			t.Fatal(err)
		}
		var entries []relay.Entry
		for i := range 2000 {
			m := through(t, fmt.Sprint("k", i*97%bound), "")
			entries = append(entries, relay.Entry{ID: relay.ID{Batch: 1, Seq: int64(i + 1)}, Message: m})
		}
		sink := taskSink(t, client)
		begin(t, sink)
		before := processor(t, client)
		if err := appended(t, sink, entries); err != nil {
			t.Fatal(err)
		}
		took[bound] = processor(t, client) - before
	}
	t.Logf("%.2f s of the processor with 100 bindings, %.2f s with 10,000", took[100], took[10_000])
	if took[10_000] > 20*took[100] {
		t.Errorf("%.2f s of the processor with 100 bindings, %.2f s with 10,000", took[100], took[10_000])
	}
}

// processor returns the seconds of the processor that a server has taken.
func processor(t *testing.T, client goredis.UniversalClient) (seconds float64) {
	t.Helper()
	for _, name := range []string{"used_cpu_user", "used_cpu_sys"} {
		_, value, _ := strings.Cut(client.Info(t.Context(), "cpu").Val(), "\n"+name+":")
		value, _, _ = strings.Cut(value, "\r\n")
		n, err := strconv.ParseFloat(value, 64)
		if err != nil {
			t.Fatal(err)
		}
		seconds += n
	}
	return seconds
}
