package redis_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/tactus-dev/tactus/internal/redis"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/relay"
)

// readAs reads n entries as a consumer of a group of the event stream.
func readAs(t *testing.T, client *goredis.Client, group string, n int64) (ids []string) {
	t.Helper()
	streams, err := client.XReadGroup(t.Context(), &goredis.XReadGroupArgs{
		Group: group, Consumer: "c", Streams: []string{redis.EventStream, ">"}, Count: n, Block: -1,
	}).Result()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range streams[0].Messages {
		ids = append(ids, m.ID)
	}
	return ids
}

func trimmed(t *testing.T, client *goredis.Client, before string, silence time.Duration) redis.Trimmed {
	t.Helper()
	got, err := redis.Trim(t.Context(), client, redis.EventStream, before, silence)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func makeGroup(t *testing.T, client *goredis.Client, name string) {
	t.Helper()
	if err := client.XGroupCreate(t.Context(), redis.EventStream, name, "0").Err(); err != nil {
		t.Fatal(err)
	}
}

// TestTrimKeepsWhatIsNeeded has nodes of one entry, so that a trim removes every entry that it may.
func TestTrimKeepsWhatIsNeeded(t *testing.T) {
	t.Parallel()
	server := testenv.RedisServer(t, map[string]string{"stream-node-max-entries": "1"})
	client := testenv.Client(t, server.URL(0))
	if got := trimmed(t, client, "9-9", redis.Silence); got.Entries != 0 || got.Groups != nil {
		t.Errorf("trimming no stream removed %+v", got)
	}
	sink := eventSink(t, client)
	fill(t, sink, at(0, 0), batch(t, 1, 10))
	wantOldest := func(want string) {
		t.Helper()
		if got := ids(t, client); got[0] != want {
			t.Errorf("the oldest entry is %s, want %s", got[0], want)
		}
	}
	if got, err := sink.Trim(t.Context(), relay.ID{Batch: 1, Seq: 3}); err != nil || got.Entries != 2 {
		t.Errorf("a trim without groups removed %+v, %v", got, err)
	}
	wantOldest("1-3")
	makeGroup(t, client, "fast")
	makeGroup(t, client, "slow")
	read := readAs(t, client, "fast", 8)
	if err := client.XAck(t.Context(), redis.EventStream, "fast", read...).Err(); err != nil {
		t.Fatal(err)
	}
	trimmed(t, client, "9-9", redis.Silence)
	wantOldest("1-3") // slow has read nothing

	pending := readAs(t, client, "slow", 5)
	if err := client.XAck(t.Context(), redis.EventStream, "slow", pending[0], pending[1], pending[3]).Err(); err != nil {
		t.Fatal(err)
	}
	trimmed(t, client, "9-9", redis.Silence)
	wantOldest("1-5") // still pending
	if err := client.XAck(t.Context(), redis.EventStream, "slow", pending...).Err(); err != nil {
		t.Fatal(err)
	}
	trimmed(t, client, "9-9", redis.Silence)
	wantOldest("1-7") // the last entry that slow was given
	wantMark(t, sink, at(1, 10))
}

func TestTrimKeepsTheLastEntry(t *testing.T) {
	t.Parallel()
	server := testenv.RedisServer(t, map[string]string{"stream-node-max-entries": "1"})
	client := testenv.Client(t, server.URL(0))
	sink := eventSink(t, client)
	fill(t, sink, at(0, 0), batch(t, 1, 5))
	trimmed(t, client, "7-0", redis.Silence)
	if got := ids(t, client); !slices.Equal(got, []string{"1-5"}) {
		t.Errorf("the stream has %v", got)
	}
	wantMark(t, sink, at(1, 5))
}

func TestTrimRemovesSilentGroups(t *testing.T) {
	t.Parallel()
	client := testenv.Redis(t)
	fill(t, eventSink(t, client), at(0, 0), batch(t, 1, 5))
	for _, name := range []string{"dead", "alive", "never"} {
		makeGroup(t, client, name)
	}
	readAs(t, client, "dead", 1)
	if got := trimmed(t, client, "9-9", redis.Silence); len(got.Groups) > 0 {
		t.Errorf("the first trim destroyed groups %v", got.Groups)
	}
	const silence = 200 * time.Millisecond
	testenv.Eventually(t, "both are gone", func() error {
		began := time.Now()
		readAs(t, client, "alive", 1)
		if err := client.XGroupSetID(t.Context(), redis.EventStream, "alive", "0").Err(); err != nil {
			return err
		}
		got := trimmed(t, client, "9-9", silence)
		if slices.Contains(got.Groups, "alive") {
			if took := time.Since(began); took <= silence {
				t.Errorf("a group was destroyed %s after it had read", took)
			}
			makeGroup(t, client, "alive") // it had to wait for the machine for too long
		}
		groups, err := client.XInfoGroups(t.Context(), redis.EventStream).Result()
		if err == nil && len(groups) > 1 {
			err = fmt.Errorf("there are %d groups", len(groups))
		}
		return err
	})
}
