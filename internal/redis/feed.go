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

// Feed lets a beat hear of changes through a consumer group of its own on the event stream. Because the group is its
// own, the beat receives every event, and operators can see the group's lag. It implements beat.Feed.
type Feed struct {
	group
	log   *slog.Logger
	names *names
	owned
}

// NewFeed returns the feed of the named beat, on a client, which the caller still owns and closes. A second living beat
// of the same name gets another group.
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
	return &Feed{
		group: group{client, stream, name, "beat"}, log: log, names: newNames(name),
		owned: owned{place: placeOf(client, beside(stream, "sink"))},
	}, nil
}

// Whose returns a Foreign or Replaced error if the stream belongs to another installation than the one the feed was
// claimed for.
func (f *Feed) Whose(ctx context.Context) error {
	key, err := f.client.HMGet(ctx, beside(f.stream, "sink"), "installation", "servers").Result()
	if err != nil {
		return fmt.Errorf("ask whose %s is: %w", f.stream, err)
	}
	installation, _ := key[0].(string)
	servers, _ := key[1].(string)
	return f.check(f.stream, installation, servers)
}

// Mark returns the ID of the newest event in the stream.
func (f *Feed) Mark(ctx context.Context) (string, error) {
	id, err := f.end(ctx)
	return id, wrap("ask "+f.stream+" for its newest event", err)
}

// Subscribe delivers the events after a mark until ctx ends; then it closes the channel. Each event must be
// acknowledged. While Redis is away, Subscribe keeps trying. It calls lost and goes on whenever the beat may have
// missed events:
//
//   - the group was destroyed, or somebody moved it (XGROUP SETID) or read through it;
//   - an entry was unreadable, and is set aside;
//   - entries were deleted before they were read (XDEL, XTRIM);
//   - the stream ends before an event that was heard, because Redis has lost its newest data;
//   - another beat has taken this one's name; then the channel is closed too.
//
// lost makes the beat compare all schedules with its memory, so a false alarm costs time and a missed alarm costs
// changes that the beat does not know of. In doubt the feed calls lost.
func (f *Feed) Subscribe(ctx context.Context, mark string, lost func(reason string)) (<-chan *message.Message, error) {
	heard, err := relay.ParseID(mark)
	if err != nil {
		return nil, fmt.Errorf("subscribe to %s: %w", f.stream, err)
	}
	if foreign, ok := errors.AsType[*Foreign](f.Whose(ctx)); ok {
		// To reset the group would take it from a beat of the same name in the other installation.
		return nil, fmt.Errorf("subscribe to %s: %w", f.stream, foreign)
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
	l := &listener{Feed: f, group: g, lastHeard: heard, addedBase: -1, lost: lost}
	s := newSubscription(g, 500, f.log)
	s.idle, s.resend = time.Minute, 100*time.Millisecond
	s.recreate, s.lost, s.onEmpty, s.onRead, s.afterDelivery = l.restartAtEnd, lost, l.checkEnd, l.hear, l.afterRead
	if made == nil {
		l.startCounting(ctx)
	} else { // Redis is away: reset the group when it is back
		s.prepare = func(ctx context.Context) error {
			err := g.reset(ctx, mark)
			if err == nil {
				l.startCounting(ctx)
			}
			return err
		}
	}
	s.onEnd = func() {
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

// Lag returns how many events the beat has not acknowledged; -1 when Redis does not know.
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

// listener finds out whether the feed has missed entries. A consumer group alone cannot tell: it reports no error when
// an entry is deleted before it was read, or when somebody moves the group ahead. The listener has three checks:
//
// Order. Entries must come with rising IDs. One at or below lastHeard, which is not pending with us, shows that the
// group was set back or the stream began anew.
//
// Gaps. Entries of one read lie together in the stream, but between two reads the group can be moved or somebody else
// can read through it. So the listener remembers the ranges between reads whose ends are not consecutive, and asks the
// stream whether it has an entry in between:
//
//	read 1        read 2
//	4-1 4-2 4-3   4-4 4-5     consecutive: no gap
//	4-1 4-2 4-3   5-1         a gap (4-3, 5-1): if the stream has an entry there, it was not given to us
//
// Count. A deleted entry leaves nothing in the stream to find, but since Redis 7 the stream counts the entries that
// were ever added, whatever is deleted later. Each time that the feed has read to the stream's end,
//
//	added now - addedBase = heardSince
//
// must hold. If more were added, the difference was deleted before it was read. Then the sums begin anew. addedBase is
// -1, and the check is skipped once, when the feed cannot know its base: at a start with entries ahead, or after any
// other loss was found, whose entries would be counted twice.
type listener struct {
	*Feed
	group      // the group that it hears through
	lastHeard  relay.ID
	heardSince int64     // entries heard since addedBase was taken
	addedBase  int64     // the stream's entries-added then; -1 when unknown
	counted    time.Time // when the count was last checked
	gaps       []gap     // not checked yet
	lost       func(reason string)
}

// gap is the range between the last entry of one read and the first of the next, both excluded.
type gap struct{ from, to relay.ID }

// restartAtEnd sets the group to the end of the stream. Its caller calls lost: then the beat reads from PostgreSQL what
// it has missed before.
func (l *listener) restartAtEnd(ctx context.Context) error {
	end, err := l.end(ctx)
	if err != nil {
		return err
	}
	if err := l.reset(ctx, end); err != nil {
		return err
	}
	l.addedBase, l.gaps = -1, l.gaps[:0]
	if l.lastHeard, err = relay.ParseID(end); err == nil {
		l.startCounting(ctx)
	}
	return err
}

// startCounting takes the base of the count, if the stream ends where the feed has heard to. Otherwise countMissed
// takes it, once the feed has read to the end.
func (l *listener) startCounting(ctx context.Context) {
	stream, _, err := l.state(ctx)
	if err == nil && stream.LastGeneratedID == l.lastHeard.String() {
		l.addedBase, l.heardSince = stream.EntriesAdded, 0
	}
}

// hear checks the order of entries that were read, counts them, and notes gaps. Pending entries may have been heard
// before.
func (l *listener) hear(entries []goredis.XMessage, pending bool) {
	reported := pending
	for i, e := range entries {
		id, err := relay.ParseID(e.ID)
		switch {
		case err != nil: // the relay does not give such IDs: a foreign entry
			l.addedBase = -1
			continue
		case id.Compare(l.lastHeard) > 0:
			l.heardSince++
			if i == 0 && (id.Batch != l.lastHeard.Batch || id.Seq != l.lastHeard.Seq+1) {
				l.gaps = append(l.gaps, gap{l.lastHeard, id})
			}
		case pending:
			continue
		default:
			l.addedBase = -1
			if !reported {
				l.lost("event " + e.ID + " came again after " + l.lastHeard.String() +
					": the group was set back (XGROUP SETID), or the stream began anew")
			}
			reported = true
		}
		l.lastHeard = id
	}
}

// afterRead makes the checks that need not wait until the feed has read to the end.
func (l *listener) afterRead(ctx context.Context) error {
	if err := l.checkGaps(ctx); err != nil {
		return err
	}
	return l.countInTraffic(ctx)
}

// The count is checked so often in traffic, unless there are so many entries ahead. Those are read once more for it.
const (
	countEvery  = 2 * time.Second
	aheadAtMost = 1000
)

// countInTraffic checks the count while there is always more to read.
func (l *listener) countInTraffic(ctx context.Context) error {
	if time.Since(l.counted) < countEvery {
		return nil
	}
	l.counted = time.Now()
	var stream *goredis.XInfoStreamCmd
	var ahead *goredis.XMessageSliceCmd
	_, err := l.client.TxPipelined(ctx, func(p goredis.Pipeliner) error {
		stream = p.XInfoStream(ctx, l.stream)
		ahead = p.XRangeN(ctx, l.stream, "("+l.lastHeard.String(), "+", aheadAtMost)
		return nil
	})
	if isNoKey(err) {
		return nil
	}
	if err != nil {
		return err
	}
	if n := int64(len(ahead.Val())); stream.Val().EntriesAdded > 0 && n < aheadAtMost {
		l.compareCount(stream.Val().EntriesAdded-n, l.lastHeard)
	}
	return nil
}

// checkGaps asks the stream for entries in the gaps. An entry there shows that the group was set ahead while events
// kept coming, or that somebody else reads through the group.
func (l *listener) checkGaps(ctx context.Context) error {
	if len(l.gaps) == 0 {
		return nil
	}
	found := make([]*goredis.XMessageSliceCmd, len(l.gaps))
	_, err := l.client.Pipelined(ctx, func(p goredis.Pipeliner) error {
		for i, g := range l.gaps {
			found[i] = p.XRangeN(ctx, l.stream, "("+g.from.String(), "("+g.to.String(), 1)
		}
		return nil
	})
	if err != nil {
		return err // the gaps are kept, and checked after the next read
	}
	for i, g := range l.gaps {
		if len(found[i].Val()) == 0 {
			continue
		}
		l.addedBase = -1
		l.log.Warn("events were not given to the consumer group",
			"stream", l.stream, "group", l.name, "after", g.from, "before", g.to)
		l.lost("events after " + g.from.String() + " and before " + g.to.String() +
			" were not given to this beat: its group was set ahead (XGROUP SETID), or somebody else reads through it")
	}
	l.gaps = l.gaps[:0]
	return nil
}

// checkEnd is called when a read has found no entry. It compares lastHeard with the stream's end and the group's
// position:
//
//	the stream ends before lastHeard   Redis has lost its newest data: restart at the end before it passes lastHeard
//	the group is ahead of lastHeard    somebody has set it ahead: set it back, so that the entries between are read
//	neither                            the feed is at the end: check the count
func (l *listener) checkEnd(ctx context.Context) error {
	stream, delivered, err := l.state(ctx)
	if err != nil {
		return err
	}
	end, err := relay.ParseID(stream.LastGeneratedID)
	if err != nil {
		return nil // the ID of a foreign entry, which the relay will delete
	}
	switch {
	case end.Compare(l.lastHeard) < 0:
		from := l.lastHeard
		if err := l.restartAtEnd(ctx); err != nil {
			return err
		}
		l.lost("the stream ends at " + end.String() + ", before " + from.String() +
			", which was heard: Redis has lost its newest data")
		return nil
	case delivered.Compare(l.lastHeard) > 0:
		if err := l.client.XGroupSetID(ctx, l.stream, l.name, l.lastHeard.String()).Err(); err != nil {
			return err
		}
		l.addedBase = -1
		l.log.Warn("the consumer group was set ahead, and is set back",
			"stream", l.stream, "group", l.name, "from", delivered, "to", l.lastHeard)
		l.lost("the group was set ahead from " + l.lastHeard.String() + " to " + delivered.String() + " (XGROUP SETID)")
		return nil
	}
	return l.countMissed(ctx, stream.EntriesAdded, end)
}

// state returns the stream's state, and the ID of the last entry that the group was given.
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
	if err != nil { // somebody has set the group to an ID beyond our numbers, so it is ahead
		delivered, err = relay.ID{Batch: math.MaxInt64, Seq: math.MaxInt64}, nil
	}
	return *streams.Val(), delivered, err
}

// countMissed compares the number of entries ever added to the stream with the number heard. It does nothing when an
// entry has come in the meantime.
func (l *listener) countMissed(ctx context.Context, added int64, end relay.ID) error {
	if end.Compare(l.lastHeard) > 0 {
		left, err := l.client.XRangeN(ctx, l.stream, "("+l.lastHeard.String(), "+", 1).Result()
		if err != nil || len(left) > 0 {
			return err
		}
		// Before Redis 7 the stream does not count. Then this may be a false alarm: the relay also moves the end past
		// entries without an event.
		if added == 0 {
			l.lost("the stream has no event between " + l.lastHeard.String() + " and its end at " + end.String() +
				": they were taken out before they were read (XTRIM, XDEL)")
		}
		l.lastHeard = end
	}
	l.compareCount(added, end)
	return nil
}

// compareCount compares the number of entries added to the stream up to an ID with the number heard.
func (l *listener) compareCount(added int64, upTo relay.ID) {
	if missed := added - l.addedBase - l.heardSince; l.addedBase >= 0 && missed > 0 {
		l.log.Warn("events were taken out of the stream before they were read",
			"stream", l.stream, "group", l.name, "events", missed)
		l.lost(fmt.Sprintf("%d events up to %s were taken out of the stream before they were read (XTRIM, XDEL)",
			missed, upTo))
	}
	l.addedBase, l.heardSince, l.counted = added, 0, time.Now()
}
