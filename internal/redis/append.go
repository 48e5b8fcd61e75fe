package redis

import (
	"context"
	"iter"
	"strings"
	"sync"

	"github.com/tactus-dev/tactus/relay"
)

// One call of a script takes so much, more or less. Redis reads a command as a whole before it runs it, and meanwhile we
// make the next one.
const (
	maxCallEntries = 125
	maxCallBytes   = 4 << 20
	// maxCalls is how many are made, at most, while others are written.
	maxCalls = 8
)

// call is what one call of a script writes, up to which entry (none when it has none), and what could not be encoded behind
// it.
type call struct {
	args  []any
	last  relay.ID
	unfit *relay.Refused
}

// chained are the arguments of calls that are made at once: each goes on from where the one before it ends, so that it
// writes nothing when that one has ended elsewhere. head begins those of a call.
func chained(at relay.Mark, calls []call, head func(from relay.Mark, to relay.ID) []any) [][]any {
	var all [][]any
	for _, c := range calls {
		if c.last != (relay.ID{}) {
			all = append(all, append(head(at, c.last), c.args...))
			at.Last = c.last
		}
	}
	return all
}

// appendAll writes entries in calls of bounded size. An entry that cannot be encoded is refused after those before it
// are written.
func appendAll(ctx context.Context, at relay.Mark, entries []relay.Entry,
	encode func(relay.Entry) ([]any, error), write func(context.Context, relay.Mark, []call) (relay.Mark, error),
) (relay.Mark, error) {
	ctx, cancel := context.WithCancel(ctx)
	ready := make(chan call, maxCalls)
	var encoding sync.WaitGroup
	defer encoding.Wait() // the entries are the caller's again
	defer cancel()
	encoding.Go(func() {
		defer close(ready)
		for c := range calls(entries, encode) {
			select {
			case ready <- c:
			case <-ctx.Done():
				return
			}
		}
	})
	for c := range ready {
		together := []call{c}
		for range len(ready) {
			together = append(together, <-ready)
		}
		var err error
		if at, err = write(ctx, at, together); err != nil {
			return at, err
		}
		if unfit := together[len(together)-1].unfit; unfit != nil {
			unfit.Real = at
			return at, unfit
		}
	}
	return at, ctx.Err() // when it has ended, so may the encoding have, before its time
}

func calls(entries []relay.Entry, encode func(relay.Entry) ([]any, error)) iter.Seq[call] {
	return func(yield func(call) bool) {
		var c call
		count, size := 0, 0
		for _, e := range entries {
			fields, err := encode(e)
			if err != nil {
				c.unfit = &relay.Refused{ID: e.ID, Reason: err.Error()}
				break
			}
			n := sizeOf(fields)
			if count == maxCallEntries || count > 0 && size+n > maxCallBytes {
				if !yield(c) {
					return
				}
				c, count, size = call{}, 0, 0
			}
			if c.args == nil && len(fields) > 0 {
				c.args = make([]any, 0, len(fields)*min(maxCallEntries, len(entries)))
			}
			c.args, c.last = append(c.args, fields...), e.ID
			count++
			size += n
		}
		yield(c)
	}
}

func sizeOf(fields []any) (n int) {
	for _, f := range fields {
		switch value := f.(type) {
		case string:
			n += len(value)
		case []byte:
			n += len(value)
		}
	}
	return n
}

// hashTag is the part of a key by which Cluster chooses its slot.
func hashTag(key string) string {
	if _, rest, ok := strings.Cut(key, "{"); ok {
		if tag, _, ok := strings.Cut(rest, "}"); ok && tag != "" {
			return tag
		}
	}
	return key
}
