package redis

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	goredis "github.com/redis/go-redis/v9"

	"github.com/tactus-dev/tactus/relay"
)

// Feed is where a beat hears of changes: a consumer group of its own on the event stream, so that nobody else takes its
// events, and operators see how far behind it is. It implements beat.Feed.
type Feed struct {
	group
	log   *slog.Logger
	names *names
	owned
}

// NewFeed makes the feed of the beat of that name, on a client that stays the caller's. A second living beat of that name
// gets another group.
func NewFeed(client goredis.UniversalClient, stream, beat string, log *slog.Logger) (*Feed, error) {
	if beat == "" {
		return nil, errors.New("a feed needs the name of its beat")
	}
	if stream == "" {
		stream = EventStream
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	name := "beat:" + beat
	return &Feed{group: group{client, stream, name, "beat"}, log: log, names: newNames(name)}, nil
}

// Whose gives an error when the stream is another installation's than the feed was claimed for.
func (f *Feed) Whose(ctx context.Context) error {
	key, err := f.client.HMGet(ctx, beside(f.stream, "sink"), "installation", "servers").Result()
	if err != nil {
		return fmt.Errorf("ask whose %s is: %w", f.stream, err)
	}
	installation, _ := key[0].(string)
	servers, _ := key[1].(string)
	return f.check(f.stream, installation, servers)
}

// Mark names the newest event that there is.
func (f *Feed) Mark(ctx context.Context) (string, error) {
	id, err := f.end(ctx)
	return id, wrap("ask "+f.stream+" for its newest event", err)
}

// Subscribe hears the events after a mark until ctx ends; then the channel is closed. Each must be acknowledged. While
// Redis is away it goes on trying. It calls lost, and goes on, when events may have been missed: the group was gone, an
// entry was unreadable (and is set aside), or the stream ends before what was heard, because Redis lost its data.
func (f *Feed) Subscribe(ctx context.Context, mark string, lost func(reason string)) (<-chan *message.Message, error) {
	heard, err := relay.ParseID(mark)
	if err != nil {
		return nil, fmt.Errorf("subscribe to %s: %w", f.stream, err)
	}
	if foreign, ok := errors.AsType[*Foreign](f.Whose(ctx)); ok {
		return nil, fmt.Errorf("subscribe to %s: %w", f.stream, foreign) // whose events a group of the same name may be hearing
	}
	g, made := f.claim(ctx)
	if taken, ok := errors.AsType[nameTaken](made); ok {
		return nil, fmt.Errorf("subscribe to %s: %w", f.stream, taken)
	}
	if made == nil {
		made = g.reset(ctx, mark)
	}
	if hasCode(made, "WRONGTYPE") {
		return nil, fmt.Errorf("subscribe to %s: %w", f.stream, made)
	}
	ctx, cancel := context.WithCancel(ctx)
	l := &listener{Feed: f, group: g, heard: heard, lost: lost}
	s := newSubscription(g, 500, f.log)
	s.idle, s.resend = time.Minute, 100*time.Millisecond
	s.regroup, s.lost, s.quiet, s.heard = l.catchUp, lost, l.check, l.hear
	if made != nil { // Redis is away
		s.first = func(ctx context.Context) error { return g.reset(ctx, mark) }
	}
	s.ended = func() {
		cancel()
		f.names.release(ctx, g)
	}
	go f.names.hold(ctx, g, func() {
		lost("another beat took this one's name while it was away")
		cancel()
	})
	go s.run(ctx)
	return s.out, nil
}

// Lag is how many events the beat has not acknowledged; -1 when Redis cannot tell.
func (f *Feed) Lag(ctx context.Context) (int64, error) {
	name := f.names.get()
	groups, err := f.client.XInfoGroups(ctx, f.stream).Result()
	if isNoKey(err) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("ask for the lag of %s: %w", name, err)
	}
	for _, g := range groups {
		if g.Name == name && g.Lag >= 0 {
			return g.Lag + g.Pending, nil
		}
	}
	return -1, nil
}

// listener knows how far a feed has heard.
type listener struct {
	*Feed
	group // that it hears
	heard relay.ID
	lost  func(reason string)
}

// catchUp lets the group begin at the end: what was missed before is read from Postgres, when lost is called.
func (l *listener) catchUp(ctx context.Context) error {
	end, err := l.end(ctx)
	if err != nil {
		return err
	}
	if err := l.reset(ctx, end); err != nil {
		return err
	}
	l.heard, err = relay.ParseID(end)
	return err
}

func (l *listener) hear(entries []goredis.XMessage) {
	for _, e := range entries {
		id, err := relay.ParseID(e.ID)
		if err != nil {
			continue // an ID that the relay cannot have given is a foreign entry's
		}
		if id.Compare(l.heard) <= 0 {
			l.lost("the stream went back from " + l.heard.String() + " to " + e.ID)
		}
		l.heard = id
	}
}

// check finds a stream that has lost its end, before it grows past it again.
func (l *listener) check(ctx context.Context) error {
	end, err := l.end(ctx)
	if err != nil {
		return err
	}
	if id, err := relay.ParseID(end); err != nil || id.Compare(l.heard) >= 0 {
		return err
	}
	from := l.heard
	if err := l.catchUp(ctx); err != nil {
		return err
	}
	l.lost("the stream went back from " + from.String() + " to " + end)
	return nil
}
