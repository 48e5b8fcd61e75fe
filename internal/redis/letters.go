package redis

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/tactus-dev/tactus/relay"
)

// Letter is a dead letter of a stream: a copy of an entry that a consumer group could not read.
type Letter struct {
	ID     string    // the dead letter's own
	Entry  string    // the ID of the entry that could not be read
	Group  string    // the consumer group that could not read it
	Reason string    // why
	Data   string    // the entry's fields as JSON, cut to mostLetterData bytes
	Size   int       // bytes of the uncut Data
	At     time.Time // when the entry was set aside, UTC
}

const (
	mostLetterData = 16 << 10 // bytes
	letterPage     = 500      // dead letters read at a time
)

// Letters returns dead letters of a stream, oldest first: those with the given ids; if ids is nil, the newest up to a
// limit; if that is 0 too, all.
func Letters(
	ctx context.Context, client goredis.UniversalClient, stream string, ids []string, limit int,
) ([]Letter, error) {
	var found []goredis.XMessage
	var err error
	switch {
	case ids != nil:
		for _, id := range ids {
			var one []goredis.XMessage
			if one, err = client.XRange(ctx, DeadLetters(stream), id, id).Result(); err != nil {
				break
			}
			found = append(found, one...)
		}
	case limit > 0:
		found, err = client.XRevRangeN(ctx, DeadLetters(stream), "+", "-", int64(limit)).Result()
		slices.Reverse(found)
	default:
		return allLetters(ctx, client, stream)
	}
	if err != nil {
		return nil, fmt.Errorf("read dead letters of %s: %w", stream, err)
	}
	return lettersOf(found), nil
}

func allLetters(ctx context.Context, client goredis.UniversalClient, stream string) (all []Letter, err error) {
	for from := "-"; ; {
		page, err := client.XRangeN(ctx, DeadLetters(stream), from, "+", letterPage).Result()
		if err != nil {
			return nil, fmt.Errorf("read dead letters of %s: %w", stream, err)
		}
		all = append(all, lettersOf(page)...)
		if len(page) < letterPage {
			return all, nil
		}
		from = "(" + page[len(page)-1].ID
	}
}

func lettersOf(found []goredis.XMessage) []Letter {
	all := make([]Letter, len(found))
	for i, e := range found {
		all[i] = letterOf(e)
	}
	return all
}

func letterOf(e goredis.XMessage) Letter {
	own := map[string]string{}
	fields := map[string]string{}
	for name, value := range e.Values {
		text, _ := value.(string)
		if name, ok := strings.CutPrefix(name, "tactus-"); ok {
			own[name] = text
		} else {
			fields[name] = text
		}
	}
	data, _ := json.Marshal(fields) // strings always encode
	l := Letter{
		ID: e.ID, Entry: own["id"], Group: own["group"], Reason: own["reason"],
		Data: string(data[:min(len(data), mostLetterData)]), Size: len(data),
	}
	if id, err := relay.ParseID(e.ID); err == nil {
		l.At = time.UnixMilli(id.Batch).UTC()
	}
	return l
}

// The answers of ReadAgain.
const (
	LetterAgain   = "again"  // the group will receive the entry again, and the dead letter is deleted
	LetterNone    = "none"   // there is no such dead letter
	EntryGone     = "gone"   // the entry is no longer in the stream
	EntryNoReader = "nobody" // the group no longer exists
)

var deadLetterRetry = script("dead_letter_retry")

// ReadAgain gives the entry of a dead letter to its group again, and deletes the dead letter. It returns one of the
// answers above.
func ReadAgain(ctx context.Context, client goredis.UniversalClient, stream, letter string) (string, error) {
	answer, err := deadLetterRetry.Run(ctx, client, []string{stream, DeadLetters(stream)}, letter).Text()
	return answer, wrap("read "+letter+" again", err)
}

// DropLetters deletes dead letters for good, and returns the ids of those that existed.
func DropLetters(
	ctx context.Context, client goredis.UniversalClient, stream string, ids ...string,
) (dropped []string, err error) {
	deleted := make([]*goredis.IntCmd, len(ids))
	_, err = client.Pipelined(ctx, func(p goredis.Pipeliner) error {
		for i, id := range ids {
			deleted[i] = p.XDel(ctx, DeadLetters(stream), id)
		}
		return nil
	})
	for i, id := range ids {
		if deleted[i].Val() > 0 {
			dropped = append(dropped, id)
		}
	}
	return dropped, wrap("drop dead letters of "+stream, err)
}
