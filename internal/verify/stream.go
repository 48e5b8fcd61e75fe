package verify

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"iter"
	"math"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/cursor"
	"github.com/tactus-dev/tactus/relay"
	"github.com/tactus-dev/tactus/relay/cloudevents"
)

// streamEnds describes the ends of the stream.
type streamEnds struct {
	last   relay.ID // the last ID ever written; it survives trimming
	oldest relay.ID // the ID of the oldest entry
	whole  bool     // no entry was ever trimmed
}

// readStream reads the stream backwards, so that entries trimmed meanwhile are those that come last.
func (c *checker) readStream(ctx context.Context) error {
	last, _, err := streamInfo(ctx, c.redis, c.config.Stream)
	if err != nil {
		return err
	}
	c.ends = streamEnds{last: last}
	epochs := map[string]uint16{}
	for entry, err := range backwards(ctx, c.redis, c.config.Stream, last) {
		if err != nil {
			return err
		}
		if err := c.entry(entry, epochs); err != nil {
			c.problem(Problem{Kind: EntryUnreadable, Entry: entry.ID}, "%v", err)
		}
	}
	_, c.ends.whole, err = streamInfo(ctx, c.redis, c.config.Stream) // asked again, because it may have been trimmed meanwhile
	return err
}

// streamInfo returns the last ID ever written to a stream, and whether all entries ever added are still there.
func streamInfo(ctx context.Context, client redis.UniversalClient, key string) (last relay.ID, whole bool, err error) {
	info, err := client.XInfoStream(ctx, key).Result()
	if err != nil && strings.Contains(err.Error(), "no such key") {
		return relay.ID{}, true, nil
	}
	if err != nil {
		return relay.ID{}, false, err
	}
	last, err = relay.ParseID(info.LastGeneratedID)
	return last, info.EntriesAdded == info.Length, err
}

func backwards(
	ctx context.Context, client redis.UniversalClient, key string, from relay.ID,
) iter.Seq2[redis.XMessage, error] {
	return func(yield func(redis.XMessage, error) bool) {
		var size cursor.Size
		for end := from.String(); ; {
			page, err := client.XRevRangeN(ctx, key, end, "-", int64(size.Rows())).Result()
			if err != nil {
				yield(redis.XMessage{}, err)
				return
			}
			largest := 0
			for _, entry := range page {
				if largest = max(largest, bytesOf(entry)); !yield(entry, nil) {
					return
				}
			}
			if len(page) == 0 {
				return
			}
			size.Had(largest)
			end = "(" + page[len(page)-1].ID
		}
	}
}

func bytesOf(entry redis.XMessage) (n int) {
	for name, value := range entry.Values {
		text, _ := value.(string) // values of a stream are strings
		n += len(name) + len(text)
	}
	return n
}

// Our epochs are short tokens, and a log has few of them. A stream that somebody else writes to may have any number.
const (
	longestEpoch = 100
	mostEpochs   = 10_000
)

// entry records one entry of the stream.
func (c *checker) entry(entry redis.XMessage, epochs map[string]uint16) error {
	id, err := relay.ParseID(entry.ID)
	if err != nil {
		return err
	}
	c.ends.oldest = id
	payload, ok := entry.Values["payload"].(string)
	if !ok {
		return errors.New("the entry has no payload")
	}
	e, err := cloudevents.Parse([]byte(payload))
	if err != nil {
		return err
	}
	epoch, known := epochs[e.Epoch]
	if !known {
		if len(e.Epoch) > longestEpoch || len(epochs) == mostEpochs {
			return fmt.Errorf("the epoch %.20q is not one of ours", e.Epoch)
		}
		epoch = uint16(len(epochs))
		epochs[e.Epoch] = epoch
	}
	if e.Type == domain.LogEpochStarted {
		return nil
	}
	schedule, err := domain.ParseID(e.Subject)
	if err != nil {
		return fmt.Errorf("subject %q: %w", e.Subject, err)
	}
	version := e.Version()
	if want := fmt.Sprintf("%s/%d", schedule, version); e.ID != want || version < 1 || version > math.MaxUint32 {
		return fmt.Errorf("the event's id is %q", e.ID)
	}
	c.report.StreamEntries++
	content := hash(version, e.Type, e.Data)
	c.keep(id, change{schedule, version, content}, e.Time)
	c.walk(schedule, uint32(version), epoch, content, entry.ID)
	return nil
}

var seed = maphash.MakeSeed()

// hash returns a hash of what both the stream and the log hold of an event.
func hash(version int64, kind domain.EventType, data []byte) uint64 {
	var h maphash.Hash
	h.SetSeed(seed)
	maphash.WriteComparable(&h, version)
	h.WriteString(string(kind)) // hashes never fail to write
	h.Write(data)
	return h.Sum64()
}

// walk records an entry on the way back through the stream. Within an epoch, each version of a schedule must be one
// less than the version met before:
//
//	one less              in order
//	still less            the versions between are passed over: missing, unless they come later
//	passed over before    out of order
//	above all others      out of order, if the epoch is the newest
//	otherwise             the version comes twice
//
// An older epoch may repeat versions that a newer one has. Only versions below those of the newer epochs are needed of
// it.
func (c *checker) walk(id domain.ID, version uint32, epoch uint16, content uint64, entry string) {
	t := c.tallies.of(id)
	of := Problem{Kind: EventOutOfOrder, ScheduleID: id, Version: int64(version), Entry: entry}
	switch {
	case t.high == 0: // the newest entry of this schedule
		t.high, t.low, t.newestLow, t.walk = version, version, version, version
		t.newest, t.epoch = epoch, epoch
	case t.epoch != epoch: // an older epoch begins
		c.tallies.passOver(id, span{version + 1, t.low - 1, epoch})
		t.epoch, t.walk = epoch, version
	case version < t.walk:
		c.tallies.passOver(id, span{version + 1, min(t.walk, t.low) - 1, epoch})
		t.walk = version
	case c.tallies.take(id, version, epoch):
		c.problem(of, "version %d comes after a later one", version)
	case version > t.high && epoch == t.newest:
		c.problem(of, "version %d comes before an earlier one", version)
		c.tallies.passOver(id, span{t.high + 1, version - 1, epoch})
		t.high = version
	default:
		of.Kind, t.odd = EventTwice, true
		c.problem(of, "version %d comes again in a later entry", version)
		return
	}
	t.low = min(t.low, version)
	if epoch == t.newest {
		t.newestLow = min(t.newestLow, version)
		t.content += content
	}
}
