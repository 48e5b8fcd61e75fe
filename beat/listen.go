package beat

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/tactus-dev/tactus/domain"
)

// Feed brings events of changes to a beat. It may lose events, because the beat polls the log as well; it only makes
// changes arrive sooner.
type Feed interface {
	// Mark returns a mark of the newest event.
	Mark(ctx context.Context) (string, error)
	// Subscribe delivers the events after a mark until ctx ends, and then closes the channel. The caller acknowledges
	// each event. A subscription survives outages of the feed. If events may have been lost (the consumer group was
	// gone, an entry was unreadable), it calls lost with the reason, and continues.
	Subscribe(ctx context.Context, mark string, lost func(reason string)) (<-chan *message.Message, error)
}

// inbox is what the feed has brought. The listener writes to notices; all other fields belong to the goroutine that
// calls step.
type inbox struct {
	mark    *string       // the feed's mark before the load; nil if the feed did not answer
	notices chan notice   // brought by the feed, and not received by a step yet
	events  int           // received in this step
	epoch   string        // the log's epoch in the event received last
	unacked []func() bool // acknowledge events that memory does not have yet
	traced  []notice      // those of these events that belong to a trace
}

// inboxSize is how many notices wait for a step. When the inbox is full the listener waits.
const inboxSize = 4096

// notice is what the feed has said: that a schedule or a calendar has changed, or why changes may have been lost.
type notice struct {
	id      domain.ID
	version int64
	event   domain.EventType
	epoch   string      // of the log
	lost    string      // why changes may have been lost; empty when this is an event
	ack     func() bool // nil when there is nothing to acknowledge
	trace   *traced     // nil when the event has no trace, or traces are not recorded
}

// markTimeout is how long the start waits for the feed.
const markTimeout = 2 * time.Second

// markFeed notes the feed's mark before the load reads the table, so that the feed brings every change that is
// committed during the load. If the feed does not answer, the listener asks again later, and polls find what changes in
// between.
func (b *Beat) markFeed(ctx context.Context) {
	if b.feed == nil {
		b.log.Info("sync by Redis is disabled: the log is polled", "interval", b.cfg.Poll)
		return
	}
	b.log.Info("sync by Redis is enabled: the log is polled besides", "interval", b.cfg.Poll)
	ctx, cancel := context.WithTimeout(ctx, markTimeout)
	defer cancel()
	mark, err := b.feed.Mark(ctx)
	if err != nil {
		b.log.Warn("the feed cannot be asked: changes are polled until it can", "err", err)
		return
	}
	b.inbox.mark = &mark
}

// listen puts what the feed brings into the inbox, until ctx ends.
func (b *Beat) listen(ctx context.Context) {
	silent := failureLog{log: b.log, level: slog.LevelWarn, what: "the feed is silent: changes are polled"}
	for b.feed != nil && ctx.Err() == nil {
		if err := b.subscribe(ctx, silent.recovered); err != nil && ctx.Err() == nil {
			silent.report(err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
}

// subscribe listens to one subscription until that ends, and calls began once it has begun.
func (b *Beat) subscribe(ctx context.Context, began func()) error {
	mark := b.inbox.mark
	if b.inbox.mark = nil; mark == nil {
		current, err := b.feed.Mark(ctx)
		if err != nil {
			return fmt.Errorf("mark the feed: %w", err)
		}
		mark = &current
	}
	messages, err := b.feed.Subscribe(ctx, *mark, func(reason string) { b.enqueue(ctx, notice{lost: reason}) })
	if err != nil {
		return fmt.Errorf("subscribe: %w", err)
	}
	began()
	b.log.Info("subscribed", "after", *mark)
	for m := range messages {
		b.enqueue(ctx, b.hear(m))
	}
	return nil
}

// enqueue puts a notice into the inbox, and waits while the inbox is full.
func (b *Beat) enqueue(ctx context.Context, n notice) {
	select {
	case b.inbox.notices <- n:
	case <-ctx.Done():
	}
}

// parseEvent makes a notice of a CloudEvent. An event that cannot be read may have named any schedule, so it counts as
// a loss.
func parseEvent(m *message.Message) notice {
	var event struct {
		ID      string           `json:"id"`
		Type    domain.EventType `json:"type"`
		Subject domain.ID        `json:"subject"`
		Epoch   string           `json:"epoch"`
	}
	if err := json.Unmarshal(m.Payload, &event); err != nil {
		return notice{lost: "an event cannot be read: " + err.Error(), ack: m.Ack}
	}
	if event.Type == domain.LogEpochStarted {
		return notice{event: event.Type, epoch: event.Epoch, ack: m.Ack}
	}
	_, version, _ := strings.Cut(event.ID, "/")
	n := notice{id: event.Subject, event: event.Type, epoch: event.Epoch, ack: m.Ack}
	if _, err := fmt.Sscan(version, &n.version); err != nil || n.id.IsZero() {
		return notice{lost: fmt.Sprintf("an event has the id %q", event.ID), ack: m.Ack}
	}
	return n
}

// receiveAll receives the notices that are in the inbox. It stops after as many as the inbox can hold, so that a step
// ends even if the feed brings more all the time.
func (b *Beat) receiveAll() {
	for range cap(b.inbox.notices) {
		select {
		case n := <-b.inbox.notices:
			b.receive(n)
			continue
		default:
		}
		break
	}
	if b.inbox.events > 0 {
		b.sums.add(sumEvents, int64(b.inbox.events))
		b.log.Debug("event received", "events", b.inbox.events)
		b.inbox.events = 0
	}
}

// receive processes a notice. If a version leaves a gap behind the one that memory has, events were lost, and the beat
// resyncs. If the log is in another epoch, or events may have been lost, versions may have gone back, since only
// (epoch, version) orders events: then memory is rebuilt.
func (b *Beat) receive(n notice) {
	if n.ack != nil {
		b.inbox.unacked = append(b.inbox.unacked, n.ack)
	}
	if n.lost != "" {
		b.stats.countGap()
		b.wantAnew(n.lost) // the reason for the loss may be that the log went back
		return
	}
	if n.event == domain.LogEpochStarted {
		b.wantAnew("the log began a new epoch")
		b.inbox.epoch = n.epoch
		return
	}
	b.inbox.events++
	if n.trace != nil {
		b.inbox.traced = append(b.inbox.traced, n)
	}
	b.log.Debug("event", "schedule_id", n.id, "version", n.version, "type", n.event)
	if b.inbox.epoch != "" && b.inbox.epoch != n.epoch {
		b.wantAnew("the log is in another epoch")
	}
	b.inbox.epoch = n.epoch
	if n.event.OfCalendar() {
		b.calendars.wanted = true
		return
	}
	if kept, ok := b.memory.Find(n.id); ok && n.version > max(int64(kept.Version), b.syncs.pending[n.id])+1 {
		b.wantResync("a version is missing")
	}
	b.wantSync(n.id, n.version)
}

// acknowledge tells the feed that memory has the changes that its events named.
func (b *Beat) acknowledge() {
	for _, ack := range b.inbox.unacked {
		ack()
	}
	b.inbox.unacked = b.inbox.unacked[:0]
	if len(b.inbox.traced) > 0 {
		b.traceSynced()
	}
}
