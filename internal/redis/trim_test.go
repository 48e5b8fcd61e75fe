package redis_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc64"
	"slices"
	"strings"
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

// aged makes the consumers of the event stream's groups look silent for longer. Redis keeps when it last saw a consumer
// in the stream itself, so the stream is dumped, the instants in the dump are changed, and it is restored.
func aged(t *testing.T, client *goredis.Client, consumer string, by time.Duration) {
	t.Helper()
	dump, err := client.Dump(t.Context(), redis.EventStream).Bytes()
	if err != nil {
		t.Fatal(err)
	}
	now, err := client.Time(t.Context()).Result()
	if err != nil {
		t.Fatal(err)
	}
	name := bytes.Index(dump, append([]byte{byte(len(consumer))}, consumer...))
	if name < 0 {
		t.Fatalf("consumer %s is not in the dump", consumer)
	}
	at := dump[name+1+len(consumer):]
	for range 2 { // since Redis 7.2 there are two: when it was last seen, and when it last got something
		seen := time.UnixMilli(int64(binary.LittleEndian.Uint64(at)))
		if d := now.Sub(seen); d < -time.Minute || d > 2*redis.Silence {
			break
		}
		binary.LittleEndian.PutUint64(at, uint64(seen.Add(-by).UnixMilli()))
		at = at[8:]
	}
	sum := len(dump) - 8
	binary.LittleEndian.PutUint64(dump[sum:], ^crc64.Update(^uint64(0), crc64.MakeTable(0x95ac9329ac4bc9b5), dump[:sum]))
	if err := client.RestoreReplace(t.Context(), redis.EventStream, 0, string(dump)).Err(); err != nil {
		t.Fatal(err)
	}
}

// TestGroupSilentForSevenDays has three groups with entries that they have not acknowledged: one whose only consumer
// was last seen more than seven days ago, one a minute less, and one that never had a consumer and was noted seven days
// ago. The first and the last are removed and hold nothing back any more; the other keeps what it has to read. Who
// comes back is told that the group is gone.
func TestGroupSilentForSevenDays(t *testing.T) {
	t.Parallel()
	server := testenv.RedisServer(t, map[string]string{"stream-node-max-entries": "1"})
	client := testenv.Client(t, server.URL(0))
	sink := eventSink(t, client)
	fill(t, sink, at(0, 0), batch(t, 1, 10))
	for group, read := range map[string]int64{"weekaway": 2, "daysaway": 5} {
		makeGroup(t, client, group)
		streams, err := client.XReadGroup(t.Context(), &goredis.XReadGroupArgs{
			Group: group, Consumer: "of-" + group, Streams: []string{redis.EventStream, ">"}, Count: read, Block: -1,
		}).Result()
		if err != nil || len(streams[0].Messages) != int(read) {
			t.Fatalf("%v, %v", streams, err)
		}
	}
	makeGroup(t, client, "unused")
	if got, err := sink.Trim(t.Context(), relay.ID{Batch: 9, Seq: 9}); err != nil || got.Entries > 0 || got.Groups != nil {
		t.Fatalf("before, a trim removed %+v, %v", got, err)
	}
	aged(t, client, "of-weekaway", redis.Silence+time.Minute)
	aged(t, client, "of-daysaway", redis.Silence-time.Minute)
	notes := "{" + redis.EventStream + "}:groups"
	noted, err := client.HGet(t.Context(), notes, "unused").Int64()
	if err != nil {
		t.Fatal(err)
	}
	client.HSet(t.Context(), notes, "unused", noted-(redis.Silence+time.Minute).Milliseconds())

	got, err := sink.Trim(t.Context(), relay.ID{Batch: 9, Seq: 9})
	slices.Sort(got.Groups)
	if err != nil || !slices.Equal(got.Groups, []string{"unused", "weekaway"}) {
		t.Errorf("a trim removed %+v, %v", got, err)
	}
	if all := ids(t, client); all[0] != "1-1" {
		t.Errorf("the oldest entry is %s, and the group that was away for days has not acknowledged 1-1", all[0])
	}
	if n := client.XPending(t.Context(), redis.EventStream, "daysaway").Val().Count; n != 5 {
		t.Errorf("%d entries are pending", n)
	}
	err = client.XReadGroup(t.Context(), &goredis.XReadGroupArgs{
		Group: "weekaway", Consumer: "of-weekaway", Streams: []string{redis.EventStream, ">"}, Block: -1,
	}).Err()
	if err == nil || !strings.HasPrefix(err.Error(), "NOGROUP") {
		t.Errorf("who comes back: %v", err)
	}
	aged(t, client, "of-daysaway", time.Hour)
	if got, err := sink.Trim(t.Context(), relay.ID{Batch: 9, Seq: 9}); err != nil || got.Entries != 9 || len(got.Groups) != 1 {
		t.Errorf("when the last one is silent for so long: %+v, %v", got, err)
	}
}
