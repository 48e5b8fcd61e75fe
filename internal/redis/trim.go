package redis

import (
	"context"
	"fmt"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/tactus-dev/tactus/relay"
)

// Silence is how long a consumer group may be silent before it is removed.
const Silence = 7 * 24 * time.Hour

// Trimmed is what a trim removed.
type Trimmed struct {
	Entries int64    // how many
	Groups  []string // the names of groups that were silent for too long
}

var trim = script("mark", "trim")

// Trim removes the entries of a stream before an ID that every living consumer group has acknowledged, and the groups
// that have been silent for the given time. A group is silent while all its consumers are, and, if it has none, since
// an earlier Trim found it without one.
//
// Trim never cuts a stream to a length: slow consumers would lose entries that they have not read. Redis removes whole
// nodes of a stream only, so some entries that could go stay until the rest of their node can.
func Trim(
	ctx context.Context, client goredis.UniversalClient, stream, before string, silence time.Duration,
) (Trimmed, error) {
	if _, err := relay.ParseID(before); err != nil {
		return Trimmed{}, fmt.Errorf("trim %s: %w", stream, err)
	}
	keys := []string{stream, beside(stream, "groups")}
	reply, err := trim.Run(ctx, client, keys, before, silence.Milliseconds()).Slice()
	if err != nil {
		return Trimmed{}, fmt.Errorf("trim %s: %w", stream, err)
	}
	var t Trimmed
	for _, part := range reply {
		switch value := part.(type) {
		case int64:
			t.Entries = value
		case string:
			t.Groups = append(t.Groups, value)
		}
	}
	return t, nil
}

// Trim removes the events before an ID that every living group has acknowledged, and groups that have been silent for a
// week.
func (s *EventSink) Trim(ctx context.Context, before relay.ID) (Trimmed, error) {
	return Trim(ctx, s.client, s.cfg.Stream, before.String(), Silence)
}
