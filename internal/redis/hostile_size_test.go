package redis_test

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/tactus-dev/tactus/internal/redis"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/relay"
)

// stat returns a number of Redis' INFO, such as used_memory, or what a command has of a name, such as cmdstat_evalsha
// usec.
func stat(t *testing.T, client goredis.UniversalClient, section, name, of string) int64 {
	t.Helper()
	info, err := client.Info(t.Context(), section).Result()
	if err != nil {
		t.Fatal(err)
	}
	_, value, _ := strings.Cut(info, name+":")
	value, _, _ = strings.Cut(value, "\r\n")
	if of != "" {
		_, value, _ = strings.Cut(value, of+"=")
		value, _, _ = strings.Cut(value, ",")
	}
	n, _ := strconv.ParseInt(value, 10, 64)
	return n
}

// longest is the time that the longest call has taken, in microseconds, of those that took more than a few
// milliseconds.
func longest(t *testing.T, client goredis.UniversalClient) (most int64) {
	t.Helper()
	slow, err := client.Do(t.Context(), "slowlog", "get", "1000").Slice()
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range slow {
		took, _ := entry.([]any)[2].(int64)
		most = max(most, took)
	}
	return most
}

// yardstick returns how many microseconds a server, which is the test's own, takes just now to count to ten million. It
// forgets how long earlier calls took.
func yardstick(t *testing.T, client goredis.UniversalClient) int64 {
	t.Helper()
	forget := func() {
		if err := client.Do(t.Context(), "slowlog", "reset").Err(); err != nil {
			t.Fatal(err)
		}
	}
	forget()
	defer forget()
	for range 5 { // all of it at once would take a slow machine longer than a client waits
		if err := client.Eval(t.Context(), `local n = 0 for i = 1, 2000000 do n = n + #ARGV[1] end return n`, nil, "x").Err(); err != nil {
			t.Fatal(err)
		}
	}
	return 5 * longest(t, client)
}

// appended appends entries, and goes on from where the sink is when a call has left some to the next one, or when the
// answer of a busy machine came too late.
func appended(t *testing.T, sink relay.Sink, entries []relay.Entry) error {
	t.Helper()
	from := at(0, 0)
	for {
		_, err := sink.Append(t.Context(), from, entries[from.Last.Seq:])
		if _, is := errors.AsType[*relay.Refused](err); is || err == nil {
			return err
		}
		real, errMark := sink.Mark(t.Context())
		if errMark == nil && real.Last.Seq <= from.Last.Seq {
			return fmt.Errorf("no entry was appended: %w", err)
		}
		if errMark == nil {
			from = real
		}
	}
}

// TestScriptsAreBounded hands over what is as large and as hostile as tactus takes. Redis' memory holds little besides
// what it was given, no call of a script keeps it from others for long, and there is no more to read than was there.
func TestScriptsAreBounded(t *testing.T) {
	large := strings.Repeat("x", 256<<10)
	texts := func(n int, payload string) (all []relay.Entry) {
		for i := range n {
			all = append(all, relay.Entry{ID: relay.ID{Batch: 1, Seq: int64(i + 1)}, Message: redis.ToList(text(payload), "celery")})
		}
		return all
	}
	throughMany := func(n int, keys func(n int) string) (all []relay.Entry) {
		for i := range n {
			all = append(all, relay.Entry{ID: relay.ID{Batch: 1, Seq: int64(i + 1)}, Message: through(t, keys(i), "own")})
		}
		return all
	}
	// The longest routing keys, and bindings that match them as late as possible.
	key := func(n int) string { return strings.Repeat("a", 190) + fmt.Sprint(n) }
	slow := strings.Repeat("#.", 10) + "#" + strings.Repeat("a", 90) + "b"
	dotted := func(n int) string { return strings.Repeat("a.", 95) + fmt.Sprint(n) }
	for name, c := range map[string]struct {
		bindings int
		bound    string
		entries  []relay.Entry
		events   bool
		refused  bool
		kept     int // bytes
		reads    int64
	}{
		"1,000 tasks":                        {entries: texts(1000, "{}"), kept: 1 << 20},
		"100 tasks of 256 KiB":               {entries: texts(100, large), kept: 100 * len(large)},
		"100 events of 256 KiB":              {entries: texts(100, large), events: true, kept: 100 * len(large)},
		"1,000 events":                       {entries: texts(1000, "{}"), events: true, kept: 1 << 20},
		"1,000 tasks of one routing key":     {bindings: 9_000, bound: "a.b", entries: throughMany(1000, func(int) string { return "a.c" }), kept: 4 << 20, reads: 1000/125 + 1},
		"200 tasks of many routing keys":     {bindings: 9_000, bound: "a.b", entries: throughMany(200, key), kept: 4 << 20, reads: 10},
		"bindings that are matched slowly":   {bindings: 9_000, bound: slow, entries: throughMany(900, key), refused: true, kept: 4 << 20, reads: 4},
		"bindings that take nearly too long": {bindings: 400, bound: "#.a.b", entries: throughMany(100, dotted), kept: 4 << 20, reads: 40},
		"bindings of nothing but wildcards":  {bindings: 9_000, bound: strings.Repeat("#.*.", 40) + "b", entries: throughMany(900, key), refused: true, kept: 4 << 20, reads: 4},
	} {
		t.Run(name, func(t *testing.T) {
			client := testenv.Client(t, testenv.RedisServer(t, map[string]string{"lua-time-limit": "600000"}).URL(0)) // on a busy machine
			for n := range c.bindings {
				if n%1000 == 0 {
					bindMany(t, client, 1) // there is one that is direct
				}
				bind(t, client, c.bound, "^a pattern$", fmt.Sprint("topic", n))
			}
			var sink relay.Sink = taskSink(t, client)
			if c.events {
				sink = redis.NewEventSink(client, redis.EventConfig{})
			}
			begin(t, sink)
			rest := yardstick(t, client)
			before := stat(t, client, "memory", "used_memory", "")
			err := appended(t, sink, c.entries)
			if refused, is := errors.AsType[*relay.Refused](err); is != c.refused || err != nil && (!is || !strings.Contains(refused.Reason, "takes too long")) {
				t.Fatal(err)
			}
			most := stat(t, client, "memory", "used_memory_peak", "") - before
			took, again := longest(t, client), yardstick(t, client)
			reads := stat(t, client, "commandstats", "cmdstat_smembers", "calls")
			t.Logf("the longest call: %s, %.1f times the yardstick; %d MiB more than before", time.Duration(took)*time.Microsecond, float64(took)/float64(max(rest, again)), most>>20)
			if most > int64(2*c.kept+32<<20) {
				t.Errorf("Redis takes %d MiB for %d", most>>20, c.kept>>20)
			}
			if took > 30*max(rest, again) {
				t.Errorf("a call takes %d µs: a count to ten million takes %d", took, max(rest, again))
			}
			if reads > c.reads {
				t.Errorf("the bindings are read %d times, at most %d", reads, c.reads)
			}
		})
	}
}
