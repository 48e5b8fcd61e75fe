package deadletter_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"testing"

	"github.com/tactus-dev/tactus/internal/deadletter"
	"github.com/tactus-dev/tactus/internal/redis"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/relay/cloudevents"
)

// TestEvent has two events among others that cannot be encoded, while changes go on. Put back, they come in order.
func TestEvent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put("first")
	bad := w.put("bad")
	w.put("bad", describe("again"))
	w.put("last")
	spoil := func(headers any) {
		w.Helper()
		w.sql(`update tactus.outbox set headers = $2 where aggregate_id = $1`, bad.ID, headers)
	}
	spoil("[1]")
	w.carry()
	letters := w.letters(2)
	for i, l := range letters {
		if l.Source != "events" || l.Reference != fmt.Sprintf("%s/%d", bad.ID, i+1) || l.Reason == "" || l.Size == 0 || l.Data == "" || l.At.IsZero() {
			t.Errorf("%+v", l)
		}
	}
	w.awaitEvents(2)
	write := func(ctx context.Context) {
		for ctx.Err() == nil {
			w.put("busy", describe(rand.Text()))
			w.put("bad", describe(rand.Text()))
		}
	}
	stop := w.run(write)
	w.retry(letters, true, "a new epoch")
	again := w.letters(2) // the cause was not mended
	if slices.ContainsFunc(again, func(l deadletter.Letter) bool { return l.ID == letters[0].ID || l.ID == letters[1].ID }) {
		t.Errorf("the same letters came back: %+v", again)
	}
	spoil(nil)
	w.retry(again, true, "a new epoch")
	w.letters(0)
	testenv.Eventually(t, "the events are published", func() error {
		if got := w.lastEpoch(bad.ID.String()); len(got) < 3 || got[0] != "1" || got[1] != "2" || got[2] != "3" {
			return fmt.Errorf("the epoch has versions %v", got)
		}
		return nil
	})
	stop()
	w.awaitEvents(0)
	w.retry(again, false, "put back or dropped already")
}

// lastEpoch returns the versions of a schedule in the stream since its last epoch began.
func (w *world) lastEpoch(schedule string) (versions []string) {
	w.Helper()
	entries, err := w.redis.XRange(w.Context(), redis.EventStream, "-", "+").Result()
	if err != nil {
		w.Fatal(err)
	}
	for _, e := range entries {
		event, err := cloudevents.Parse([]byte(e.Values["payload"].(string)))
		if err != nil {
			w.Fatal(err)
		}
		switch event.Subject {
		case "":
			versions = nil
		case schedule:
			versions = append(versions, fmt.Sprint(event.Version()))
		}
	}
	return versions
}

// TestDroppedEvent checks that a dropped event stays out of the stream, even when the stream is filled again, and that
// the checker accepts that.
func TestDroppedEvent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.put("bad")
	w.sql(`update tactus.outbox set headers = '[1]' where aggregate_id = $1`, s.ID)
	w.carry()
	letters := w.letters(1)
	for want := 1; want >= 0; want-- {
		if dropped, err := w.box.Drop(t.Context(), letters); err != nil || len(dropped) != want {
			t.Errorf("%+v, %v", dropped, err)
		}
	}
	w.put("good")
	w.awaitEvents(1)
	if err := w.redis.FlushDB(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	w.put("better")
	w.awaitEvents(1)
	w.letters(0)
}

// TestRetryOnUnfinishedEpoch puts two letters back one after the other, before a relay has published anything of the
// new epoch.
func TestRetryOnUnfinishedEpoch(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := w.put("a"), w.put("b")
	w.sql(`update tactus.outbox set headers = '[1]'`)
	stop := w.carry()
	letters := w.letters(2)
	w.put("a", describe("later"))
	w.awaitEvents(2)
	stop()
	w.sql(`update tactus.outbox set headers = null`)
	w.retry(letters[:1], true, "")
	w.retry(letters[1:], true, "")
	w.carry()
	w.awaitEvents(0)
	if x, y := w.lastEpoch(a.ID.String()), w.lastEpoch(b.ID.String()); !slices.Equal(x, []string{"1", "2"}) || !slices.Equal(y, []string{"1"}) {
		t.Errorf("the epoch has versions %v and %v", x, y)
	}
}
