package redis

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
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
// Redis is away it goes on trying. It calls lost, and goes on, when events may have been missed: the group was gone or somebody
// moved it, an entry was unreadable (and is set aside), entries were taken out before they were read, or the stream ends before
// what was heard, because Redis lost its data.
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
	l := &listener{Feed: f, group: g, heard: heard, given: -1, lost: lost}
	s := newSubscription(g, 500, f.log)
	s.idle, s.resend = time.Minute, 100*time.Millisecond
	s.regroup, s.lost, s.quiet, s.heard, s.checked = l.catchUp, lost, l.check, l.hear, l.lookBack
	if made == nil {
		l.begin(ctx)
	} else { // Redis is away
		s.first = func(ctx context.Context) error {
			err := g.reset(ctx, mark)
			if err == nil {
				l.begin(ctx)
			}
			return err
		}
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

// listener knows how far a feed has heard, and so finds out what it has not: somebody has moved the group, or has taken
// entries out of the stream before they were read. A stream counts what it was ever given, whatever is trimmed (Redis 7 and
// newer); what was read since must come to the same.
type listener struct {
	*Feed
	group // that it hears
	heard relay.ID
	count int64 // entries heard since ...
	given int64 // ... the stream had been given so many; -1 when that is not known
	leaps []leap
	lost  func(reason string)
}

// leap is from the last entry of one read to the first of the next, where others may lie between them.
type leap struct{ from, to relay.ID }

// catchUp lets the group begin at the end: what was missed before is read from Postgres, when lost is called.
func (l *listener) catchUp(ctx context.Context) error {
	end, err := l.end(ctx)
	if err != nil {
		return err
	}
	if err := l.reset(ctx, end); err != nil {
		return err
	}
	l.given, l.leaps = -1, l.leaps[:0]
	if l.heard, err = relay.ParseID(end); err == nil {
		l.begin(ctx)
	}
	return err
}

// begin counts from now on, if nothing has come yet behind what was heard; else from when all is read.
func (l *listener) begin(ctx context.Context) {
	stream, _, err := l.state(ctx)
	if err == nil && stream.LastGeneratedID == l.heard.String() {
		l.given, l.count = stream.EntriesAdded, 0
	}
}

// hear takes in what was read: for the first time, or of what is pending with us, which may have been heard before.
func (l *listener) hear(entries []goredis.XMessage, pending bool) {
	told := pending
	for i, e := range entries {
		id, err := relay.ParseID(e.ID)
		switch {
		case err != nil: // an ID that the relay cannot have given is a foreign entry's
			l.given = -1
			continue
		case id.Compare(l.heard) > 0:
			l.count++
			if i == 0 && (id.Batch != l.heard.Batch || id.Seq != l.heard.Seq+1) { // what is read together lies together
				l.leaps = append(l.leaps, leap{l.heard, id})
			}
		case pending:
			continue
		default:
			l.given = -1
			if !told {
				l.lost("event " + e.ID + " came again after " + l.heard.String() + ": the group was set back (XGROUP SETID), or the stream began anew")
			}
			told = true
		}
		l.heard = id
	}
}

// lookBack asks whether the stream has something between entries that followed each other: the group was set ahead while events
// kept coming, or another reads in it.
func (l *listener) lookBack(ctx context.Context) error {
	if len(l.leaps) == 0 {
		return nil
	}
	found := make([]*goredis.XMessageSliceCmd, len(l.leaps))
	_, err := l.client.Pipelined(ctx, func(p goredis.Pipeliner) error {
		for i, leap := range l.leaps {
			found[i] = p.XRangeN(ctx, l.stream, "("+leap.from.String(), "("+leap.to.String(), 1)
		}
		return nil
	})
	if err != nil {
		return err // and asks again
	}
	for i, leap := range l.leaps {
		if len(found[i].Val()) == 0 {
			continue
		}
		l.given = -1
		l.log.Warn("events were not given to the consumer group", "stream", l.stream, "group", l.name, "after", leap.from, "before", leap.to)
		l.lost("events after " + leap.from.String() + " and before " + leap.to.String() +
			" were not given to this beat: its group was set ahead (XGROUP SETID), or somebody else reads in it")
	}
	l.leaps = l.leaps[:0]
	return nil
}

// check is called when there was nothing to read.
func (l *listener) check(ctx context.Context) error {
	stream, delivered, err := l.state(ctx)
	if err != nil {
		return err
	}
	end, err := relay.ParseID(stream.LastGeneratedID)
	if err != nil {
		return nil // a foreign entry's, which the relay takes out
	}
	switch {
	case end.Compare(l.heard) < 0: // before it grows past it again
		from := l.heard
		if err := l.catchUp(ctx); err != nil {
			return err
		}
		l.lost("the stream ends at " + end.String() + ", before " + from.String() + ", which was heard: Redis has lost its newest data")
		return nil
	case delivered.Compare(l.heard) > 0:
		if err := l.client.XGroupSetID(ctx, l.stream, l.name, l.heard.String()).Err(); err != nil {
			return err
		}
		l.given = -1
		l.log.Warn("the consumer group was set ahead, and is set back", "stream", l.stream, "group", l.name, "from", delivered, "to", l.heard)
		l.lost("the group was set ahead from " + l.heard.String() + " to " + delivered.String() + " (XGROUP SETID)")
		return nil
	}
	return l.account(ctx, stream.EntriesAdded, end)
}

// state is that of the stream, and what the group was last given.
func (l *listener) state(ctx context.Context) (stream goredis.XInfoStream, delivered relay.ID, err error) {
	var streams *goredis.XInfoStreamCmd
	var groups *goredis.XInfoGroupsCmd
	_, err = l.client.Pipelined(ctx, func(p goredis.Pipeliner) error {
		streams, groups = p.XInfoStream(ctx, l.stream), p.XInfoGroups(ctx, l.stream)
		return nil
	})
	if isNoKey(streams.Err()) {
		return goredis.XInfoStream{LastGeneratedID: "0-0"}, delivered, nil
	}
	if err != nil {
		return stream, delivered, err
	}
	for _, g := range groups.Val() {
		if g.Name == l.name {
			delivered, err = relay.ParseID(g.LastDeliveredID)
		}
	}
	if err != nil { // somebody has set it to what is no ID of ours, so it is ahead
		delivered, err = relay.ID{Batch: math.MaxInt64, Seq: math.MaxInt64}, nil
	}
	return *streams.Val(), delivered, err
}

// account finds out whether all was heard that the stream has been given up to its end.
func (l *listener) account(ctx context.Context, given int64, end relay.ID) error {
	if end.Compare(l.heard) > 0 {
		left, err := l.client.XRangeN(ctx, l.stream, "("+l.heard.String(), "+", 1).Result()
		if err != nil || len(left) > 0 { // which has come just now
			return err
		}
		if given == 0 { // this server does not count; it may be that the relay moved on without an event
			l.lost("the stream has no event between " + l.heard.String() + " and its end at " + end.String() + ": they were taken out before they were read (XTRIM, XDEL)")
		}
		l.heard = end
	}
	if missed := given - l.given - l.count; l.given >= 0 && missed > 0 {
		l.log.Warn("events were taken out of the stream before they were read", "stream", l.stream, "group", l.name, "events", missed)
		l.lost(fmt.Sprintf("%d events up to %s were taken out of the stream before they were read (XTRIM, XDEL)", missed, end))
	}
	l.given, l.count = given, 0
	return nil
}
