package redis_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"github.com/tactus-dev/tactus/internal/redis"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/relay"
)

// TestEventSinkEvicted deletes the stream or its mark, and checks the mark that the sink then returns.
func TestEventSinkEvicted(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		key  string
		want relay.Mark
	}{
		{eventKeys[0], at(0, 0)},
		{eventKeys[1], relay.Mark{Last: at(1, 5).Last}},
	} {
		client := testenv.Redis(t)
		sink := eventSink(t, client)
		fill(t, sink, at(0, 0), batch(t, 1, 5))
		if err := client.Del(t.Context(), c.key).Err(); err != nil {
			t.Fatal(err)
		}
		wantMark(t, sink, c.want)
		if _, err := sink.Append(t.Context(), at(1, 5), batch(t, 2, 1)); !isMismatch(err, c.want) {
			t.Errorf("without %s: %v", c.key, err)
		}
		if err := sink.Begin(t.Context(), c.want, at(1, 5)); err != nil {
			t.Fatal(err)
		}
		fill(t, sink, at(1, 5), batch(t, 2, 1))
	}
}

// TestEventSinkUnderEviction has a Redis that evicts any key. Whichever is evicted, the sink's mark shows the loss.
func TestEventSinkUnderEviction(t *testing.T) {
	t.Parallel()
	server := testenv.RedisServer(t, map[string]string{"maxmemory": "4mb", "maxmemory-policy": "allkeys-random"})
	client := testenv.Client(t, server.URL(0))
	sink := eventSink(t, client)
	fill(t, sink, at(0, 0), batch(t, 1, 500))
	testenv.Eventually(t, "the stream is evicted", func() error {
		for n := range 200 {
			key := fmt.Sprintf("filler %d", n)
			if err := client.Set(t.Context(), key, strings.Repeat("x", 50_000), 0).Err(); err != nil && !strings.HasPrefix(err.Error(), "OOM") {
				return err
			}
		}
		there, err := client.Exists(t.Context(), redis.EventStream).Result()
		if err == nil && there != 0 {
			err = errors.New("the stream still exists")
		}
		return err
	})
	mark, err := sink.Mark(t.Context())
	if err != nil || mark.Last != (relay.ID{}) {
		t.Errorf("without its stream the sink is at %+v, %v", mark, err)
	}
}

// TestSinkOfAnotherType has a sink's own keys hold another type. An operator has to act, so no entry is set aside and
// nothing is written.
func TestSinkOfAnotherType(t *testing.T) {
	eachKind(t, func(t *testing.T, k kind) {
		for _, key := range []string{eventKeys[0], eventKeys[1], "tactus:sink:tasks"} {
			client := testenv.Redis(t)
			if err := client.Set(t.Context(), key, "text", 0).Err(); err != nil {
				t.Fatal(err)
			}
			sink := k.make(t, client)
			_, marked := sink.Mark(t.Context())
			_, err := sink.Append(t.Context(), relay.Mark{}, k.entries(t, 1, 2))
			if marked == nil && err == nil {
				continue // the other kind of sink uses this key
			}
			if a := serverFault(err); a != nil || marked == nil || !strings.Contains(err.Error(), "WRONGTYPE") {
				t.Errorf("%s: %v: %v, %v", key, a, err, marked)
			}
			if keys, err := client.Keys(t.Context(), "*").Result(); err != nil || len(keys) != 1 {
				t.Errorf("%s: the keys are %v, %v", key, keys, err)
			}
		}
	})
}

// TestTaskSinkWrongTypeInTheMiddle sets aside the entries for a key of another type, and no others.
func TestTaskSinkWrongTypeInTheMiddle(t *testing.T) {
	t.Parallel()
	client := testenv.Redis(t)
	if err := client.Set(t.Context(), "taken", "text", 0).Err(); err != nil {
		t.Fatal(err)
	}
	sink := taskSink(t, client)
	begin(t, sink)
	entries := kinds["tasks"].entries(t, 1, 500)
	entries[249].Message = redis.ToList(text("250"), "taken")
	entries[299].Message = redis.ToStream(text("300"), "taken")
	mark := at(0, 0)
	var aside []string
	for left := entries; ; {
		now, err := sink.Append(t.Context(), mark, left)
		if err == nil {
			mark = now
			break
		}
		r, ok := errors.AsType[*relay.Refused](err)
		if !ok || !strings.Contains(r.Reason, "taken is a string") {
			t.Fatal(err)
		}
		aside = append(aside, r.ID.String())
		wantMark(t, sink, r.Real)
		mark, left = r.Real, entries[r.Real.Last.Seq:]
		left[0].Message = nil
	}
	if !slices.Equal(aside, []string{"1-250", "1-300"}) || mark != at(1, 500) {
		t.Errorf("entries %v were set aside; the sink is at %+v", aside, mark)
	}
	want := slices.Concat(span(1, 1, 249), span(1, 251, 299), span(1, 301, 500))
	wantHeld(t, kinds["tasks"], client, want)
}

// TestTaskSinkForbiddenKey sets aside the entries for a key that the ACL forbids.
func TestTaskSinkForbiddenKey(t *testing.T) {
	t.Parallel()
	server := testenv.RedisServer(t, nil)
	admin := testenv.Client(t, server.URL(0))
	if err := admin.Do(t.Context(), "acl", "setuser", "relay", "on", ">secret", "~tactus:*", "~celery", "+@all").Err(); err != nil {
		t.Fatal(err)
	}
	sink := taskSink(t, testenv.Client(t, fmt.Sprintf("redis://relay:secret@%s/0", server.Addr())))
	begin(t, sink)
	entries := tasks(1, "a", "b", "c")
	entries[1].Message = redis.ToList(text("b"), "others")
	_, err := sink.Append(t.Context(), at(0, 0), entries)
	r, ok := errors.AsType[*relay.Refused](err)
	if !ok || r.ID != entries[1].ID || r.Real != at(1, 1) {
		t.Fatal(err)
	}
	entries[1].Message = nil
	fill(t, sink, r.Real, entries[1:])
	wantHeld(t, kinds["tasks"], admin, []string{"a", "c"})
}

// TestTaskSinkForbiddenCommand sets nothing aside when the ACL forbids LPUSH altogether.
func TestTaskSinkForbiddenCommand(t *testing.T) {
	t.Parallel()
	server := testenv.RedisServer(t, nil)
	admin := testenv.Client(t, server.URL(0))
	if err := admin.Do(t.Context(), "acl", "setuser", "relay", "on", ">secret", "~*", "+@all", "-lpush").Err(); err != nil {
		t.Fatal(err)
	}
	sink := taskSink(t, testenv.Client(t, fmt.Sprintf("redis://relay:secret@%s/0", server.Addr())))
	begin(t, sink)
	entries := tasks(1, "stream", "a")
	if _, err := sink.Append(t.Context(), at(0, 0), entries); serverFault(err) != nil {
		t.Error(serverFault(err))
	}
	wantMark(t, sink, at(1, 1))
	if err := admin.Do(t.Context(), "acl", "setuser", "relay", "+lpush").Err(); err != nil {
		t.Fatal(err)
	}
	fill(t, sink, at(1, 1), entries[1:])
}

// alarms returns a sink and the problems that it reports.
func alarms(client goredis.UniversalClient) (*redis.EventSink, *[]string) {
	var said []string
	return redis.NewEventSink(client, redis.EventConfig{Alarm: func(problem string) { said = append(said, problem) }}), &said
}

func intrude(t *testing.T, client *goredis.Client) (id string) {
	t.Helper()
	id, err := client.XAdd(t.Context(), &goredis.XAddArgs{Stream: redis.EventStream, Values: []any{"foreign", "entry"}}).Result()
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// TestEventSinkForeignEntry has somebody else append with a higher ID. Each call of the sink finds and deletes the
// entry, and the groups that were given it receive the events that follow.
func TestEventSinkForeignEntry(t *testing.T) {
	t.Parallel()
	for name, next := range map[string]func(t *testing.T, sink relay.Sink){
		"mark":   func(t *testing.T, sink relay.Sink) { wantMark(t, sink, at(1, 5)) },
		"append": func(t *testing.T, sink relay.Sink) {},
		"begin": func(t *testing.T, sink relay.Sink) {
			if err := sink.Begin(t.Context(), at(1, 5), at(1, 5)); err != nil {
				t.Error(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := testenv.Redis(t)
			sink, said := alarms(client)
			begin(t, sink)
			fill(t, sink, at(0, 0), batch(t, 1, 5))
			makeGroup(t, client, "fast")
			makeGroup(t, client, "slow")
			readAs(t, client, "slow", 2)
			first := intrude(t, client)
			second := intrude(t, client)
			readAs(t, client, "fast", 10)

			next(t, sink)
			fill(t, sink, at(1, 5), batch(t, 2, 2))
			if len(*said) != 1 || !strings.Contains((*said)[0], "2 entries") || !strings.Contains((*said)[0], first) || !strings.Contains((*said)[0], second) {
				t.Errorf("the alarms are %q", *said)
			}
			wantHeld(t, kinds["events"], client, slices.Concat(span(1, 1, 5), span(2, 1, 2)))
			if got := readAs(t, client, "fast", 10); !slices.Equal(got, span(2, 1, 2)) {
				t.Errorf("the fast group then received %v", got)
			}
			if got := readAs(t, client, "slow", 10); !slices.Equal(got, slices.Concat(span(1, 3, 5), span(2, 1, 2))) {
				t.Errorf("the slow group then received %v", got)
			}
		})
	}
}

// TestEventSinkForeignStream has only foreign entries where ours were: the sink's mark shows that ours are lost.
func TestEventSinkForeignStream(t *testing.T) {
	t.Parallel()
	client := testenv.Redis(t)
	sink, said := alarms(client)
	begin(t, sink)
	fill(t, sink, at(0, 0), batch(t, 1, 5))
	if err := client.Del(t.Context(), redis.EventStream).Err(); err != nil {
		t.Fatal(err)
	}
	intrude(t, client)
	wantMark(t, sink, at(0, 0))
	if len(*said) != 1 {
		t.Errorf("the alarms are %q", *said)
	}
	fill(t, sink, at(0, 0), batch(t, 1, 5))
	wantHeld(t, kinds["events"], client, span(1, 1, 5))
}

// TestEventSinkStrangers has somebody else append with IDs that ours never reach, or right after the stream was
// emptied, with and without the mark. The entries are deleted, the alarm reports them, and the sink goes on where it
// was.
func TestEventSinkStrangers(t *testing.T) {
	t.Parallel()
	stranger := func(ids ...string) func(t *testing.T, p goredis.Pipeliner) {
		return func(t *testing.T, p goredis.Pipeliner) {
			for _, id := range ids {
				p.XAdd(t.Context(), &goredis.XAddArgs{Stream: redis.EventStream, ID: id, Values: []any{"foreign", "entry"}})
			}
		}
	}
	const high, highest = "9223372036854775808-0", "18446744073709551615-18446744073709551615"
	all := span(1, 1, 5)
	for name, c := range map[string]struct {
		lose string // a command that comes first
		do   func(t *testing.T, p goredis.Pipeliner)
		want relay.Mark
		left []string
	}{
		"by the clock":                 {"", stranger("*", "*"), at(1, 5), all},
		"beyond our numbers":           {"", stranger("*", high), at(1, 5), all},
		"at the end of all":            {"", stranger(highest), at(1, 5), all},
		"after a flush":                {"flushdb", stranger("*"), relay.Mark{}, nil},
		"beyond, after a flush":        {"flushdb", stranger(high, highest), relay.Mark{}, nil},
		"low, after a flush":           {"flushdb", stranger("1-1"), relay.Mark{}, nil},
		"low, and the stream is gone":  {"del " + redis.EventStream, stranger("1-1"), at(0, 0), nil},
		"both, and the stream is gone": {"del " + redis.EventStream, stranger("1-1", "*"), at(0, 0), nil},
		"without the key beside":       {"del " + eventKeys[1], stranger("*", "*"), relay.Mark{Last: at(1, 5).Last}, all},
		"highest, and without it":      {"del " + eventKeys[1], stranger(highest), relay.Mark{Last: at(1, 5).Last}, all},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := testenv.Redis(t)
			sink, said := alarms(client)
			begin(t, sink)
			fill(t, sink, at(0, 0), batch(t, 1, 5))
			makeGroup(t, client, "g")
			readAs(t, client, "g", 3)
			client.XAck(t.Context(), redis.EventStream, "g", "1-1")
			if _, err := client.TxPipelined(t.Context(), func(p goredis.Pipeliner) error {
				if words := strings.Fields(c.lose); len(words) == 2 {
					p.Do(t.Context(), words[0], words[1])
				} else if len(words) == 1 {
					p.Do(t.Context(), words[0])
				}
				c.do(t, p)
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			wantMark(t, sink, c.want)
			wantHeld(t, kinds["events"], client, c.left)
			if len(*said) != 1 {
				t.Errorf("the alarms are %q", *said)
			}
			if err := sink.Begin(t.Context(), c.want, relay.Mark{Epoch: epoch, Last: c.want.Last}); err != nil {
				t.Fatal(err)
			}
			fill(t, sink, relay.Mark{Epoch: epoch, Last: c.want.Last}, batch(t, 2, 2))
			wantHeld(t, kinds["events"], client, slices.Concat(c.left, span(2, 1, 2)))
			if c.left == nil {
				return
			}
			waiting, err := client.XPending(t.Context(), redis.EventStream, "g").Result()
			if err != nil || waiting.Count != 2 || waiting.Lower != "1-2" || waiting.Higher != "1-3" {
				t.Errorf("pending in the group: %+v, %v", waiting, err)
			}
			if got := readAs(t, client, "g", 10); !slices.Equal(got, slices.Concat(span(1, 4, 5), span(2, 1, 2))) {
				t.Errorf("the group then received %v", got)
			}
		})
	}
}
