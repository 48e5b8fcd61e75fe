package redis_test

import (
	"context"
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

// ids returns the IDs of all entries of the event stream.
func ids(t testing.TB, client goredis.UniversalClient) (all []string) {
	t.Helper()
	entries, err := client.XRange(t.Context(), redis.EventStream, "-", "+").Result()
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		all = append(all, e.ID)
	}
	return all
}

func TestEventSinkAppendsOnce(t *testing.T) {
	t.Parallel()
	client := testenv.Redis(t)
	sink := redis.NewEventSink(client, redis.EventConfig{})
	wantMark(t, sink, relay.Mark{})
	begin(t, sink)
	wantMark(t, sink, at(0, 0))
	fill(t, sink, at(0, 0), batch(t, 1, 3))
	wantMark(t, sink, at(1, 3))

	again, err := sink.Append(t.Context(), at(0, 0), batch(t, 1, 3))
	if mismatch, ok := errors.AsType[*relay.Mismatch](err); !ok || mismatch.Real != at(1, 3) {
		t.Errorf("a repeated append: %+v, %v", again, err)
	}
	other := relay.Mark{Epoch: "other", Last: at(1, 3).Last}
	if _, err := sink.Append(t.Context(), other, batch(t, 2, 1)); !isMismatch(err, at(1, 3)) {
		t.Errorf("an append in another epoch: %v", err)
	}
	fill(t, sink, at(1, 3), batch(t, 2, 1))
	if got, want := ids(t, client), []string{"1-1", "1-2", "1-3", "2-1"}; !slices.Equal(got, want) {
		t.Errorf("the stream has %v", got)
	}
}

func isMismatch(err error, real relay.Mark) bool {
	mismatch, ok := errors.AsType[*relay.Mismatch](err)
	return ok && mismatch.Real == real
}

func TestEventSinkWireFormat(t *testing.T) {
	t.Parallel()
	client := testenv.Redis(t)
	sink := redis.NewEventSink(client, redis.EventConfig{})
	begin(t, sink)
	entries := batch(t, 1, 1)
	fill(t, sink, at(0, 0), entries)
	got, err := client.XRange(t.Context(), redis.EventStream, "-", "+").Result()
	if err != nil {
		t.Fatal(err)
	}
	values := got[0].Values
	if values["_watermill_message_uuid"] != entries[0].Message.UUID || values["metadata"] != "" ||
		values["payload"] != string(entries[0].Message.Payload) || len(values) != 3 {
		t.Errorf("the entry has %v", values)
	}
}

func TestEventSinkSkipsWhatIsNotForIt(t *testing.T) {
	t.Parallel()
	client := testenv.Redis(t)
	sink := redis.NewEventSink(client, redis.EventConfig{})
	begin(t, sink)
	entries := batch(t, 1, 4)
	entries[0].Message, entries[2].Message, entries[3].Message = nil, nil, nil
	fill(t, sink, at(0, 0), entries)
	wantMark(t, sink, at(1, 4))
	if got, want := ids(t, client), []string{"1-2"}; !slices.Equal(got, want) {
		t.Errorf("the stream has %v", got)
	}
}

func TestEventSinkOfNothingYet(t *testing.T) {
	t.Parallel()
	sink := redis.NewEventSink(testenv.Redis(t), redis.EventConfig{})
	begin(t, sink)
	entries := batch(t, 1, 1)
	entries[0].Message = nil
	fill(t, sink, at(0, 0), entries)
	wantMark(t, sink, at(1, 1))
}

func TestEventSinkBegins(t *testing.T) {
	t.Parallel()
	client := testenv.Redis(t)
	sink := redis.NewEventSink(client, redis.EventConfig{})
	begin(t, sink)
	fill(t, sink, at(0, 0), batch(t, 1, 2))
	next := relay.Mark{Epoch: "next", Last: relay.ID{Batch: 9}}
	if err := sink.Begin(t.Context(), at(1, 1), next); !isMismatch(err, at(1, 2)) {
		t.Errorf("begun from another mark: %v", err)
	}
	if err := sink.Begin(t.Context(), at(1, 2), relay.Mark{Epoch: "next", Last: relay.ID{Batch: 1, Seq: 1}}); err == nil {
		t.Error("the sink began an epoch at a lower ID")
	}
	if err := sink.Begin(t.Context(), at(1, 2), next); err != nil {
		t.Fatal(err)
	}
	wantMark(t, sink, next)
	entries := batch(t, 10, 1)
	if _, err := sink.Append(t.Context(), at(1, 2), entries); !isMismatch(err, next) {
		t.Errorf("an append in the old epoch: %v", err)
	}
	fill(t, sink, next, entries)
	if got, want := ids(t, client), []string{"1-1", "1-2", "10-1"}; !slices.Equal(got, want) {
		t.Errorf("the stream has %v", got)
	}
}

// TestEventSinkSplitsCalls appends more entries than fit into one call of the script.
func TestEventSinkSplitsCalls(t *testing.T) {
	t.Parallel()
	sink := redis.NewEventSink(testenv.Redis(t), redis.EventConfig{})
	begin(t, sink)
	entries := batch(t, 1, 12)
	for _, e := range entries {
		e.Message.Payload = []byte(strings.Repeat("x", 1<<20))
	}
	fill(t, sink, at(0, 0), entries)
}

func TestEventSinkRefusesWhatCannotBeEncoded(t *testing.T) {
	t.Parallel()
	client := testenv.Redis(t)
	sink := redis.NewEventSink(client, redis.EventConfig{})
	begin(t, sink)
	entries := batch(t, 1, 4)
	entries[1].Message = nil
	entries[2].Message.Metadata.Set("_watermill_message_uuid", "reserved")
	_, err := sink.Append(t.Context(), at(0, 0), entries)
	refused, ok := errors.AsType[*relay.Refused](err)
	if !ok || refused.ID != entries[2].ID || refused.Real != at(1, 2) || !strings.Contains(refused.Reason, "reserved") {
		t.Fatalf("%+v, %v", refused, err)
	}
	wantMark(t, sink, at(1, 2))
	entries[2].Message = nil
	fill(t, sink, refused.Real, entries[2:])
}

func TestEventSinkPublishesNotices(t *testing.T) {
	t.Parallel()
	client := testenv.Redis(t)
	channel := "updates " + t.Name()
	heard := client.Subscribe(t.Context(), channel)
	defer heard.Close()
	if _, err := heard.Receive(t.Context()); err != nil {
		t.Fatal(err)
	}
	sink := redis.NewEventSink(client, redis.EventConfig{Channel: channel})
	begin(t, sink)
	entries := batch(t, 1, 2)
	entries[1].Message.Payload = []byte("no event")
	fill(t, sink, at(0, 0), entries)
	ctx, cancel := context.WithTimeout(t.Context(), testenv.Patience)
	defer cancel()
	got, err := heard.ReceiveMessage(ctx)
	if err != nil || !strings.HasPrefix(got.Payload, `{"event_type":"schedule_created","schedule_id":"01000000-`) {
		t.Errorf("the listener received %v, %v", got, err)
	}
	if n := sink.Unpublished(); n != 1 {
		t.Errorf("%d notices could not be made, want 1", n)
	}
}

// TestEventSinkOutlivesRefusedNotices appends as a user who must not PUBLISH.
func TestEventSinkOutlivesRefusedNotices(t *testing.T) {
	t.Parallel()
	server := testenv.RedisServer(t, nil)
	admin := testenv.Client(t, server.URL(0))
	if err := admin.Do(t.Context(), "acl", "setuser", "relay", "on", ">secret", "~*", "+@all", "resetchannels").Err(); err != nil {
		t.Fatal(err)
	}
	sink := redis.NewEventSink(testenv.Client(t, fmt.Sprintf("redis://relay:secret@%s/0", server.Addr())), redis.EventConfig{Channel: "updates"})
	begin(t, sink)
	fill(t, sink, at(0, 0), batch(t, 1, 3))
	if n := sink.Unpublished(); n != 3 {
		t.Errorf("%d notices were refused, want 3", n)
	}
}
