package beat

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/tactus-dev/tactus/beat/memory"
	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/outbox"
	"github.com/tactus-dev/tactus/relay/cloudevents"
)

// channelFeed is a feed that the test fills.
type channelFeed struct {
	messages chan *message.Message
	lost     chan string
}

func newFeed() *channelFeed {
	return &channelFeed{make(chan *message.Message, 1000), make(chan string)}
}

func (f *channelFeed) Mark(context.Context) (string, error) { return "0-0", nil }

func (f *channelFeed) Subscribe(ctx context.Context, _ string, lost func(string)) (<-chan *message.Message, error) {
	go func() {
		for {
			select {
			case reason := <-f.lost:
				lost(reason)
			case <-ctx.Done():
				close(f.messages)
				return
			}
		}
	}()
	return f.messages, nil
}

// foreignFeed is a feed that refuses subscriptions for some time.
type foreignFeed struct {
	*channelFeed
	until time.Time
}

func (f *foreignFeed) Subscribe(ctx context.Context, mark string, lost func(string)) (<-chan *message.Message, error) {
	if left := time.Until(f.until); left > 0 {
		return nil, fmt.Errorf("the stream is another installation's, for %s", left)
	}
	return f.channelFeed.Subscribe(ctx, mark, lost)
}

// TestSilentFeedIsToldInGrowingPauses has a feed that refuses for an hour. This is logged a few times in the first
// minute, and then once a minute.
func TestSilentFeedIsToldInGrowingPauses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		b := &Beat{
			feed: &foreignFeed{newFeed(), time.Now().Add(time.Hour)}, log: slog.New(slog.NewTextHandler(&log, nil)),
			inbox: inbox{notices: make(chan notice)},
		}
		ctx, end := context.WithTimeout(t.Context(), time.Hour+time.Minute)
		defer end()
		b.listen(ctx)
		silent, over := strings.Count(log.String(), "the feed is silent"), strings.Count(log.String(), "goes on")
		if silent < 60 || silent > 70 || over != 1 || strings.Count(log.String(), "msg=subscribed") != 1 {
			t.Errorf("told %d times that it is silent, %d times that it is over:\n%.2000s", silent, over, log.String())
		}
	})
}

// told returns the message of a schedule's event.
func (w *world) told(id domain.ID, version int64, epoch string) *message.Message {
	w.Helper()
	m, err := cloudevents.Schedule(outbox.Row{Aggregate: id, Version: version, Type: domain.ScheduleUpdated, Data: []byte(`{}`)}, epoch)
	if err != nil {
		w.Fatal(err)
	}
	return m
}

func acknowledged(m *message.Message) bool {
	select {
	case <-m.Acked():
		return true
	default:
		return false
	}
}

// TestAcknowledgesWhatMemoryHas sends a beat the event of a new schedule between two polls.
func TestAcknowledgesWhatMemoryHas(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.beat("a")
	s := w.create(minutely(``))
	m := w.told(s.ID, 1, "e")
	b.receive(parseEvent(m))
	if acknowledged(m) {
		t.Error("acknowledged before it was read")
	}
	w.step(b, w.now.Add(time.Millisecond))
	if _, ok := b.memory.Find(s.ID); !ok || !acknowledged(m) {
		t.Errorf("in memory: %v, acknowledged: %v", ok, acknowledged(m))
	}
	again := w.told(s.ID, 1, "e")
	syncs := b.syncs.queries
	b.receive(parseEvent(again))
	w.step(b, w.now.Add(20*time.Millisecond))
	if !acknowledged(again) || b.syncs.queries != syncs {
		t.Error("what memory has was read again, or is not acknowledged")
	}
}

// TestResyncsWhenEventsAreMissing checks which notices make a beat resync, and that the resync finds the missed change
// without a poll.
func TestResyncsWhenEventsAreMissing(t *testing.T) {
	t.Parallel()
	epoch, err := cloudevents.EpochStarted("f", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for name, tell := range map[string]func(w *world, known domain.ID) notice{
		"told to be lost":   func(*world, domain.ID) notice { return notice{lost: "the group was gone"} },
		"unreadable":        func(*world, domain.ID) notice { return parseEvent(message.NewMessage("x", []byte(`{`))) },
		"without a version": func(*world, domain.ID) notice { return parseEvent(message.NewMessage("x", []byte(`{"id":"x"}`))) },
		"new epoch":         func(*world, domain.ID) notice { return parseEvent(epoch) },
		"another epoch":     func(w *world, known domain.ID) notice { return parseEvent(w.told(known, 2, "f")) },
		"a gap in versions": func(w *world, known domain.ID) notice { return parseEvent(w.told(known, 4, "e")) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			known, gone := w.create(minutely(``)), w.create(minutely(``))
			b := w.beat("a")
			b.receive(parseEvent(w.told(known.ID, 2, "e")))
			w.setClock(w.now.Add(DefaultMinResync))
			w.step(b, w.now)
			before := b.resync.done
			b.polls.at = memory.Never
			if err := w.store.Delete(t.Context(), gone.ID, 0); err != nil {
				t.Fatal(err)
			}
			w.merge(known.ID, `{"interval_seconds": 120}`)
			missed := w.create(minutely(``))
			b.receive(tell(w, known.ID))
			w.step(b, w.now.Add(DefaultMinResync))
			if b.resync.done != before+1 {
				t.Fatalf("%d resyncs", b.resync.done-before)
			}
			if _, ok := b.memory.Find(gone.ID); ok {
				t.Error("a deleted schedule is in memory")
			}
			if _, ok := b.memory.Find(missed.ID); !ok {
				t.Error("a new schedule is not in memory")
			}
			if r, ok := b.memory.Find(known.ID); !ok || r.Version != 2 {
				t.Error("an edited schedule is as it was")
			}
		})
	}
}
