package relay

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/sqlexpr"
	"github.com/tactus-dev/tactus/outbox"
)

// Route is the way of a topic to a sink.
type Route struct {
	Name  string // of the sink; it must be the same each time: what Postgres knows of the sink is kept under it
	Topic string // outbox.Schedules, outbox.Runs, or sqlexpr.Happenings
	Sink  Sink
	To    string // where that is, for the log

	// Encode makes the message of a row; nil when the row is not for this sink. An error sets the row aside.
	Encode func(row outbox.Row, epoch string) (*message.Message, error)

	// Foreign finds those of some messages that must not be published, because what they would go to is somebody
	// else's, and why, by their index; nil when there are none. Each is of the run of the same index. It may be nil
	// itself.
	Foreign func(ctx context.Context, runs []domain.ID, messages []*message.Message) (map[int]string, error)

	// Only is true, as a condition of SQL, of the rows of the topic that may be for this sink. Of other rows the relay
	// reads no data, and of batches without any it reads nothing. "" when every row may be.
	Only string

	// Announce makes the message that begins every epoch but the first; nil for a sink that need not hear of it.
	Announce func(epoch string, at time.Time) (*message.Message, error)

	// Trim takes away what is before an ID and nobody needs any more; nil for a sink that keeps nothing.
	Trim func(ctx context.Context, before ID) error

	// Tasks are runs that a sink hands over, to be done. It never rewinds: of what it lost, only those of the last
	// Redeliver are handed over again that are not known to have started.
	Tasks     bool
	Redeliver time.Duration
}

func (r Route) check() error {
	switch {
	case r.Name == "":
		return errors.New("a route needs the name of its sink")
	case r.Topic != outbox.Schedules && r.Topic != outbox.Runs && r.Topic != sqlexpr.Happenings:
		return fmt.Errorf("route %s: there is no topic %q", r.Name, r.Topic)
	case r.Sink == nil || r.Encode == nil:
		return fmt.Errorf("route %s: it needs a sink and an encoder", r.Name)
	case r.Tasks && (r.Topic != outbox.Runs || r.Redeliver <= 0 || r.Announce != nil):
		return fmt.Errorf("route %s: tasks are of topic %s, with a time for redelivery and without announcements",
			r.Name, outbox.Runs)
	}
	return nil
}
