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

// Letter is an entry that a group could not read, among the dead letters of its stream.
type Letter struct {
	ID     string // of the letter
	Entry  string // that could not be read
	Group  string
	Reason string
	Data   string // the fields of the entry, as JSON, of which this is the beginning
	Size   int    // of all of it
	At     time.Time
}

const (
	mostLetterData = 16 << 10
	letterPage     = 500
)

// Letters are the dead letters of a stream, oldest first: those with the given ids, or the newest up to a limit; all when
// neither is given.
func Letters(ctx context.Context, client goredis.UniversalClient, stream string, ids []string, limit int) ([]Letter, error) {
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
		if what, ok := strings.CutPrefix(name, "tactus-"); ok {
			own[what] = text
		} else {
			fields[name] = text
		}
	}
	data, _ := json.Marshal(fields) // texts encode
	l := Letter{ID: e.ID, Entry: own["id"], Group: own["group"], Reason: own["reason"], Data: string(data[:min(len(data), mostLetterData)]), Size: len(data)}
	if id, err := relay.ParseID(e.ID); err == nil {
		l.At = time.UnixMilli(id.Batch).UTC()
	}
	return l
}

// The answers of ReadAgain.
const (
	LetterAgain   = "again"  // its group is given the entry again
	LetterNone    = "none"   // there is no such letter
	EntryGone     = "gone"   // the entry is no longer in the stream
	EntryNoReader = "nobody" // the group is no more
)

var letterAgain = script("letter_again")

// ReadAgain gives an entry that could not be read to its group again, and takes away the letter.
func ReadAgain(ctx context.Context, client goredis.UniversalClient, stream, letter string) (string, error) {
	answer, err := letterAgain.Run(ctx, client, []string{stream, DeadLetters(stream)}, letter).Text()
	return answer, wrap("read "+letter+" again", err)
}

// DropLetters takes letters away for good, and tells which of them were there.
func DropLetters(ctx context.Context, client goredis.UniversalClient, stream string, ids ...string) (dropped []string, err error) {
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
