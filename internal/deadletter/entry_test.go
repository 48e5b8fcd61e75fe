package deadletter_test

import (
	"log/slog"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	goredis "github.com/redis/go-redis/v9"

	"github.com/tactus-dev/tactus/internal/redis"
	"github.com/tactus-dev/tactus/internal/testenv"
)

// TestEntry has an entry that its group cannot read, and then replaces it by a readable one, as a newer reader would
// see it.
func TestEntry(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.box.Stream = "topic"
	s, err := redis.NewSubscriber(w.redis, redis.SubscriberConfig{Group: "group", Idle: 300 * time.Millisecond, Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	messages, err := s.Subscribe(t.Context(), "topic")
	if err != nil {
		t.Fatal(err)
	}
	good := w.entry("*", "good")
	hears(t, messages, "good")
	gone, bad := w.add("*", "what", "is this"), w.add("*", "what", "is that")
	letters := w.letters(2)
	if l := letters[1]; l.Source != "entries" || l.Reference != "topic/"+bad+" group" || l.Data != `{"what":"is that"}` || l.Reason == "" || l.At.IsZero() {
		t.Errorf("%+v", l)
	}
	if err := w.redis.XDel(t.Context(), "topic", gone, bad).Err(); err != nil {
		t.Fatal(err)
	}
	w.retry(letters, false, "no longer in the stream")
	if err := w.redis.Do(t.Context(), "xsetid", "topic", good).Err(); err != nil {
		t.Fatal(err)
	}
	w.entry(bad, "mended")
	w.retry(letters[1:], true, "reads it")
	hears(t, messages, "mended")
	w.retry(letters[1:], false, "put back or dropped already")
	if dropped, err := w.box.Drop(t.Context(), letters); err != nil || len(dropped) != 1 || dropped[0].ID != letters[0].ID {
		t.Errorf("%+v, %v", dropped, err)
	}
	w.letters(0)
	w.entry("*", "next")
	hears(t, messages, "next")
}

func hears(t *testing.T, messages <-chan *message.Message, want string) {
	t.Helper()
	select {
	case m := <-messages:
		if string(m.Payload) != want {
			t.Errorf("received %s, want %s", m.Payload, want)
		}
		m.Ack()
	case <-time.After(testenv.Patience):
		t.Fatalf("%s was not received", want)
	}
}

func (w *world) entry(id, payload string) string {
	w.Helper()
	return w.add(id, "_watermill_message_uuid", payload, "metadata", "\x80", "payload", payload)
}

func (w *world) add(id string, values ...any) string {
	w.Helper()
	id, err := w.redis.XAdd(w.Context(), &goredis.XAddArgs{Stream: "topic", ID: id, Values: values}).Result()
	if err != nil {
		w.Fatal(err)
	}
	return id
}
