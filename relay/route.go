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

	// Encode returns the message of a row, or nil if the row is not for this sink. An error sets the row aside.
	Encode func(row outbox.Row, epoch string) (*message.Message, error)

	// Foreign returns which messages must not be published because their destination belongs to somebody else: the
	// reasons, by the messages' indexes. runs has the run of each message. Foreign may be nil.
	Foreign func(ctx context.Context, runs []domain.ID, messages []*message.Message) (map[int]string, error)

	// Only is an SQL condition that holds for the rows of the topic that may be for this sink; empty if every row may
	// be. The relay does not read the data of other rows, and reads nothing of batches that have only such rows.
	Only string

	// Announce returns the message that begins every epoch but the first. It is nil for a sink that need not be told.
	Announce func(epoch string, at time.Time) (*message.Message, error)

	// Trim removes entries before an ID that nobody needs any more. It is nil for a sink that keeps nothing.
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
