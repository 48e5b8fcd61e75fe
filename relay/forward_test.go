package relay_test

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/pubsub/gochannel"

	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/outbox"
	"github.com/tactus-dev/tactus/relay"
	"github.com/tactus-dev/tactus/relay/cloudevents"
)

// forward is a route of schedule events to a publisher.
func (w *world) forward(t *testing.T, p message.Publisher) relay.Route {
	t.Helper()
	sink, err := relay.Forward(p, w.pool, "other", "schedules")
	if err != nil {
		t.Fatal(err)
	}
	return relay.Route{Name: "other", Topic: outbox.Schedules, Sink: sink, Encode: cloudevents.Schedule, Announce: cloudevents.EpochStarted}
}

// collected keeps the ids of messages in the order of their arrival.
type collected struct {
	mu  sync.Mutex
	ids []string
}

func (c *collected) add(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ids = append(c.ids, id)
}

func (c *collected) all() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.ids)
}

// await waits until all events have arrived, in order, and, if once is set, each only once.
func (c *collected) await(t *testing.T, w *world, once bool) {
	t.Helper()
	var want []string
	for _, row := range w.log(t) {
		want = append(want, fmt.Sprintf("%s/%d", row.Aggregate, row.Version))
	}
	testenv.Eventually(t, "all events", func() error {
		got := c.all()
		if !once {
			seen := map[string]bool{}
			got = slices.DeleteFunc(got, func(id string) bool {
				again := seen[id]
				seen[id] = true
				return again
			})
		}
		if !slices.Equal(got, want) {
			return fmt.Errorf("%d came: %v, want %d: %v", len(got), got, len(want), want)
		}
		return nil
	})
}

// log returns the rows of the log of schedules.
func (w *world) log(t *testing.T) (all []outbox.Row) {
	t.Helper()
	now, err := outbox.Current(t.Context(), w.pool)
	if err != nil {
		t.Fatal(err)
	}
	for row, err := range testenv.ReadLog(t.Context(), w.pool, outbox.Schedules, outbox.Nothing, now) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, row)
	}
	return all
}

// TestForwardToAnyPublisher forwards to Watermill's Go channels, through a relay that is replaced by another. The
// channels keep the order only if each message is awaited.
func TestForwardToAnyPublisher(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	channels := gochannel.NewGoChannel(gochannel.Config{BlockPublishUntilSubscriberAck: true}, watermill.NopLogger{})
	defer channels.Close()
	messages, err := channels.Subscribe(t.Context(), "schedules")
	if err != nil {
		t.Fatal(err)
	}
	var got collected
	go func() {
		for m := range messages {
			got.add(m.UUID)
			m.Ack()
		}
	}()
	w.put(t, "a", 3)
	stop := w.carry(t, w.forward(t, channels))
	w.put(t, "b", 3)
	got.await(t, w, true)
	stop()
	w.put(t, "c", 700)
	w.carry(t, w.forward(t, channels))
	got.await(t, w, false) // the first relay may have been stopped before it wrote the mark
}

// moody is a publisher that sometimes fails after it has published, and sometimes before.
type moody struct {
	to    *collected
	calls int
}

func (m *moody) Publish(_ string, messages ...*message.Message) error {
	m.calls++
	if m.calls%3 == 1 {
		return errors.New("nothing was published")
	}
	for _, one := range messages {
		m.to.add(one.UUID)
	}
	if m.calls%3 == 2 {
		return errors.New("published, and the answer was lost")
	}
	return nil
}

func (m *moody) Close() error { return nil }

func TestForwardAtLeastOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var got collected
	w.carry(t, w.forward(t, &moody{to: &got}))
	for range 5 {
		w.put(t, "a", 3)
		got.await(t, w, false)
	}
}

func TestForwardTwice(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var got collected
	w.carry(t, w.forward(t, publishTo{&got}))
	w.carry(t, w.forward(t, publishTo{&got}))
	for range 20 {
		w.put(t, "a", 3)
	}
	got.await(t, w, false)
}

type publishTo struct{ to *collected }

func (p publishTo) Publish(_ string, messages ...*message.Message) error {
	for _, m := range messages {
		p.to.add(m.UUID)
	}
	return nil
}

func (p publishTo) Close() error { return nil }
