package redis

import (
	"context"
	"iter"
	"strings"
	"sync"

	"github.com/tactus-dev/tactus/relay"
)

// The limits of one call of a script. Redis reads a whole command before it runs it, and we encode the next call in the
// meantime: small calls keep both sides busy.
const (
	maxCallEntries = 125
	maxCallBytes   = 4 << 20 // a single larger entry still gets a call of its own
	maxCalls       = 8       // encoded ahead of the one that is written
)

// call holds the entries of one call of a script.
type call struct {
	args  []any          // the encoded entries
	last  relay.ID       // of the last entry; zero when the call has no entries
	unfit *relay.Refused // the entry behind last, when it could not be encoded
}

// chained returns the arguments of calls that are sent together, without waiting for an answer in between. Each call
// names the last ID of the call before it as the mark it follows:
//
//	mark 4-0   call 1: follows 4-0, ends at 4-125   call 2: follows 4-125, ends at 4-250   ...
//
// If call 1 stops at 4-7, the mark is 4-7 when call 2 runs, so call 2 is a mismatch and writes nothing: entries cannot
// be appended behind a hole. head returns the arguments before a call's entries.
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

// appendAll writes entries in calls of bounded size, and returns the mark it has reached. It writes all entries before
// one that cannot be encoded, and then returns a relay.Refused for that entry.
func appendAll(ctx context.Context, at relay.Mark, entries []relay.Entry,
	encode func(relay.Entry) ([]any, error), write func(context.Context, relay.Mark, []call) (relay.Mark, error),
) (relay.Mark, error) {
	ctx, cancel := context.WithCancel(ctx)
	ready := make(chan call, maxCalls)
	var encoding sync.WaitGroup
	defer encoding.Wait() // the caller may change the entries once we return
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
	return at, ctx.Err() // the encoding may have stopped early because ctx has ended
}

// calls encodes entries and groups them into calls. It stops behind the first entry that cannot be encoded.
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

// sizeOf returns the length of the fields in bytes.
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

// hashTag returns the part of a key from which Redis Cluster computes the key's slot.
func hashTag(key string) string {
	if _, rest, ok := strings.Cut(key, "{"); ok {
		if tag, _, ok := strings.Cut(rest, "}"); ok && tag != "" {
			return tag
		}
	}
	return key
}
