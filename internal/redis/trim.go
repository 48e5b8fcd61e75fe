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

// Trimmed is what a trim took away.
type Trimmed struct {
	Entries int64
	Groups  []string // that were silent for too long
}

var trim = script("mark", "trim")

// Trim takes away the entries of a stream before an ID, as far as every living consumer group has acknowledged them, and
// the groups that have been silent for so long. A group is silent when all its consumers are, or when it has had none since
// a former Trim saw it so. A stream is never cut by its length: who is slow would lose what it has not read. Some of what
// could go may stay until more can.
func Trim(ctx context.Context, client goredis.UniversalClient, stream, before string, silence time.Duration) (Trimmed, error) {
	if _, err := relay.ParseID(before); err != nil {
		return Trimmed{}, fmt.Errorf("trim %s: %w", stream, err)
	}
	reply, err := trim.Run(ctx, client, []string{stream, beside(stream, "groups")}, before, silence.Milliseconds()).Slice()
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

// Trim takes away the events before an ID that every living group has acknowledged, and groups silent for a week.
func (s *EventSink) Trim(ctx context.Context, before relay.ID) (Trimmed, error) {
	return Trim(ctx, s.client, s.cfg.Stream, before.String(), Silence)
}
