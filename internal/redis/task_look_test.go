package redis_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/go-cmp/cmp"

	"github.com/tactus-dev/tactus/internal/celery"
	"github.com/tactus-dev/tactus/internal/redis"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/relay"
)

// TestRefusedNamesTheOthers names, with the first entry that is refused, those behind it that would be: for the same
// reason and for others, and none that is sound. Nothing of them is written.
func TestRefusedNamesTheOthers(t *testing.T) {
	t.Parallel()
	client := testenv.Redis(t)
	for _, key := range []string{"taken", "bound to x"} {
		if err := client.Set(t.Context(), key, "text", 0).Err(); err != nil {
			t.Fatal(err)
		}
	}
	bind(t, client, "topic", "^topic$", "bound to x")
	bind(t, client, "sound", "^sound$", "sound too")
	if err := client.SAdd(t.Context(), "_kombu.binding.reports", "reports\x06\x16\x06\x16reports").Err(); err != nil {
		t.Fatal(err)
	}
	exchange := func(name string) *message.Message {
		m, err := redis.ToExchange(text(`{"exchange":"","routing_key":"\u0000","delivery_tag":"\u0000"}`), celery.Exchange{
			Name: name, RoutingKey: "k", Bindings: "_kombu.binding." + name, Separator: "\x06\x16", Channel: "/0." + name, Tag: `\u0000`,
		})
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	fanout := client.PSubscribe(t.Context(), "/0.heard*")
	defer fanout.Close()
	if _, err := fanout.Receive(t.Context()); err != nil {
		t.Fatal(err)
	}
	nobody := "UNROUTABLE no queue is bound to exchange %s with routing key k"
	var entries []relay.Entry
	var want []relay.RefusedEntry
	for i, c := range []struct {
		message *message.Message
		reason  string // of a refusal
	}{
		{redis.ToList(text("a"), "celery"), ""},
		{redis.ToList(text("b"), "taken"), ""}, // the first that is refused
		{redis.ToList(text("c"), "celery"), ""},
		{redis.ToList(text("d"), "taken"), "WRONGTYPE taken is a string, not a list"},
		{redis.ToStream(text("e"), "taken"), "WRONGTYPE taken is a string, not a stream"},
		{redis.ToStream(text("f"), "reports"), "RESERVED reports is a queue of Celery workers, and no stream is made of it"},
		{redis.ToStream(text("g"), "jobs"), ""},
		{redis.ToList(text("h"), "tactus:events"), `keys that begin with "tactus:" are tactus' own: choose another key`},
		{through(t, "topic", ""), "WRONGTYPE bound to x is a string, not a list"},
		{through(t, "sound", ""), ""},
		{exchange("unbound"), fmt.Sprintf(nobody, "unbound")},
		{exchange("unbound too"), fmt.Sprintf(nobody, "unbound too")},
		{exchange("heard"), ""},
		{nil, ""},
	} {
		id := relay.ID{Batch: 1, Seq: int64(i + 1)}
		entries = append(entries, relay.Entry{ID: id, Message: c.message})
		if c.reason != "" {
			want = append(want, relay.RefusedEntry{ID: id, Reason: c.reason})
		}
	}
	sink := taskSink(t, client)
	begin(t, sink)
	_, err := sink.Append(t.Context(), at(0, 0), entries)
	refused, ok := errors.AsType[*relay.Refused](err)
	if !ok || refused.ID != entries[1].ID {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, refused.Also); diff != "" {
		t.Errorf("the others (-want +got):\n%s", diff)
	}
	wantMark(t, sink, at(1, 1))
	if n := client.Exists(t.Context(), "jobs", "reports", "sound too").Val(); n != 0 {
		t.Errorf("%d keys were written", n)
	}
	entries[1].Message = nil
	for _, e := range want {
		entries[e.ID.Seq-1].Message = nil
	}
	fill(t, sink, refused.Real, entries[1:])
	for heard := ""; heard == ""; { // kombu passes over a message without content
		m, err := fanout.ReceiveMessage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		heard = m.Payload
	}
}

// TestReadOnlyKeysAreNamedTogether names all entries for keys that the ACL lets the relay read and not write to, and
// writes to none of the others.
func TestReadOnlyKeysAreNamedTogether(t *testing.T) {
	t.Parallel()
	server := testenv.RedisServer(t, nil)
	admin := testenv.Client(t, server.URL(0))
	bind(t, admin, "topic", "^topic$", "read-only bound")
	if err := admin.RPush(t.Context(), "read-only full", "x", "y").Err(); err != nil {
		t.Fatal(err)
	}
	if err := admin.Do(t.Context(), "acl", "setuser", "relay", "on", ">secret", "~tactus:*", "~celery", "%R~read-only*",
		"%R~_kombu*", "&*", "+@all").Err(); err != nil {
		t.Fatal(err)
	}
	sink := taskSink(t, testenv.Client(t, fmt.Sprintf("redis://relay:secret@%s/0", server.Addr())))
	begin(t, sink)
	entries := tasks(1, "a", "b", "c", "d", "e", "f")
	entries[1].Message = redis.ToList(text("b"), "read-only")
	entries[2].Message = redis.ToList(text("c"), "read-only full")
	entries[4].Message = redis.ToStream(text("e"), "read-only stream")
	entries[5].Message = through(t, "topic", "")
	_, err := sink.Append(t.Context(), at(0, 0), entries)
	refused, ok := errors.AsType[*relay.Refused](err)
	if !ok || refused.ID != entries[1].ID {
		t.Fatal(err)
	}
	var named []relay.ID
	for _, e := range refused.Also {
		named = append(named, e.ID)
	}
	if diff := cmp.Diff([]relay.ID{entries[2].ID, entries[4].ID, entries[5].ID}, named); diff != "" {
		t.Errorf("the others (-want +got):\n%s", diff)
	}
	for _, i := range []int{1, 2, 4, 5} {
		entries[i].Message = nil
	}
	fill(t, sink, refused.Real, entries[1:])
	wantHeld(t, kinds["tasks"], admin, []string{"a", "d"})
	if got := admin.LRange(t.Context(), "read-only full", 0, -1).Val(); len(got) != 2 {
		t.Errorf("the full list holds %v", got)
	}
}

// TestDeniedTrimTellsNothing hands over where the ACL denies the command by which keys are tried.
func TestDeniedTrimTellsNothing(t *testing.T) {
	t.Parallel()
	server := testenv.RedisServer(t, nil)
	admin := testenv.Client(t, server.URL(0))
	if err := admin.Do(t.Context(), "acl", "setuser", "relay", "on", ">secret", "~tactus:*", "~celery*", "+@all", "-ltrim", "-xtrim").Err(); err != nil {
		t.Fatal(err)
	}
	sink := taskSink(t, testenv.Client(t, fmt.Sprintf("redis://relay:secret@%s/0", server.Addr())))
	begin(t, sink)
	entries := tasks(1, "a", "b", "c", "d")
	entries[0].Message = redis.ToList(text("a"), "others")
	entries[3].Message = redis.ToList(text("d"), "others too")
	_, err := sink.Append(t.Context(), at(0, 0), entries)
	r, ok := errors.AsType[*relay.Refused](err)
	if !ok || r.ID != entries[0].ID || len(r.Also) != 1 || r.Also[0].ID != entries[3].ID {
		t.Fatalf("%v: %+v", err, r)
	}
}

// TestLookKeepsToTheMark asks for the others when the sink has been moved by another relay: nothing is named, because
// that relay may have handed them over meanwhile.
func TestLookKeepsToTheMark(t *testing.T) {
	t.Parallel()
	client := testenv.Redis(t)
	sink := taskSink(t, client)
	begin(t, sink)
	entries := tasks(1, "a", "b")
	for i := range entries {
		entries[i].Message = redis.ToList(text("x"), fmt.Sprint("taken", i))
		if err := client.Set(t.Context(), fmt.Sprint("taken", i), "text", 0).Err(); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		real relay.Mark
		want int
	}{{at(0, 0), 1}, {at(0, 1), 0}, {relay.Mark{Epoch: "other"}, 0}} {
		r := &relay.Refused{Real: c.real, ID: entries[0].ID}
		if got := redis.Also(sink, t.Context(), r, entries); len(got) != c.want {
			t.Errorf("at %+v: %v", c.real, got)
		}
	}
}
