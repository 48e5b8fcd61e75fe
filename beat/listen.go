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

// note is something that was heard: a change of a schedule, or a reason why something may not have been heard.
type note struct {
	id      domain.ID
	version int64
	event   domain.EventType
	epoch   string
	lost    string
	ack     func() bool // nil when nobody waits for it
}

const markTimeout = 2 * time.Second

// markFeed notes where the feed is, if it can be asked; else the listener asks again and the poll fills the gap.
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
	b.mark = &mark
}

// listen passes on what the feed tells, until ctx ends.
func (b *Beat) listen(ctx context.Context) {
	silent := trouble{log: b.log, level: slog.LevelWarn, what: "the feed is silent: changes are polled"}
	for b.feed != nil && ctx.Err() == nil {
		if err := b.subscribe(ctx, silent.over); err != nil && ctx.Err() == nil {
			silent.tell(err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
}

func (b *Beat) subscribe(ctx context.Context, began func()) error {
	mark := b.mark
	if b.mark = nil; mark == nil {
		current, err := b.feed.Mark(ctx)
		if err != nil {
			return fmt.Errorf("mark the feed: %w", err)
		}
		mark = &current
	}
	messages, err := b.feed.Subscribe(ctx, *mark, func(reason string) { b.hear(ctx, note{lost: reason}) })
	if err != nil {
		return fmt.Errorf("subscribe: %w", err)
	}
	began()
	b.log.Info("subscribed", "after", *mark)
	for m := range messages {
		b.hear(ctx, read(m))
	}
	return nil
}

func (b *Beat) hear(ctx context.Context, n note) {
	select {
	case b.heard <- n:
	case <-ctx.Done():
	}
}

// read makes a note of a CloudEvent.
func read(m *message.Message) note {
	var event struct {
		ID      string           `json:"id"`
		Type    domain.EventType `json:"type"`
		Subject domain.ID        `json:"subject"`
		Epoch   string           `json:"epoch"`
	}
	if err := json.Unmarshal(m.Payload, &event); err != nil {
		return note{lost: "an event cannot be read: " + err.Error(), ack: m.Ack}
	}
	if event.Type == domain.LogEpochStarted {
		return note{event: event.Type, epoch: event.Epoch, ack: m.Ack}
	}
	_, version, _ := strings.Cut(event.ID, "/")
	n := note{id: event.Subject, event: event.Type, epoch: event.Epoch, ack: m.Ack}
	if _, err := fmt.Sscan(version, &n.version); err != nil || n.id.IsZero() {
		return note{lost: fmt.Sprintf("an event has the id %q", event.ID), ack: m.Ack}
	}
	return n
}

// hearAll takes in what has been heard, as much as there is room for.
func (b *Beat) hearAll() {
	for range cap(b.heard) {
		select {
		case n := <-b.heard:
			b.note(n)
			continue
		default:
		}
		break
	}
	if b.events > 0 {
		b.log.Info("event received", "events", b.events)
		b.events = 0
	}
}

// note takes in one thing heard. A version that does not follow the one known means that others were not heard, and
// another epoch that versions may have gone back: (epoch, version) orders events.
func (b *Beat) note(n note) {
	if n.ack != nil {
		b.unacked = append(b.unacked, n.ack)
	}
	if n.lost != "" {
		b.stats.gap()
		b.wantAnew(n.lost) // the stream may have gone back because the log has
		return
	}
	if n.event == domain.LogEpochStarted {
		b.wantAnew("the log began a new epoch")
		b.heardEpoch = n.epoch
		return
	}
	b.events++
	b.log.Debug("event", "schedule_id", n.id, "version", n.version, "type", n.event)
	if b.heardEpoch != "" && b.heardEpoch != n.epoch {
		b.wantAnew("the log is in another epoch")
	}
	b.heardEpoch = n.epoch
	if kept, ok := b.memory.Find(n.id); ok && n.version > max(int64(kept.Version), b.pending[n.id])+1 {
		b.wantResync("a version is missing")
	}
	b.changed(n.id, n.version)
}

// acknowledge tells the feed that memory has what it told.
func (b *Beat) acknowledge() {
	for _, ack := range b.unacked {
		ack()
	}
	b.unacked = b.unacked[:0]
}
