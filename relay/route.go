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

// Route leads the events of a topic to a sink.
type Route struct {
	Name  string // of the sink. It must not change: PostgreSQL keeps the state of the sink under this name
	Topic string // outbox.Schedules, outbox.Runs, or sqlexpr.Happenings
	Sink  Sink
	To    string // the address of the sink, for log messages

	// Encode returns the message of a row, or nil if the row is not for this sink. An error sets the row aside.
	Encode func(row outbox.Row, epoch string) (*message.Message, error)

	// Foreign returns the messages that must not be published because their destination belongs to somebody else: the
	// reasons, by the index of the message. runs has the run of each message. Foreign may be nil.
	Foreign func(ctx context.Context, runs []domain.ID, messages []*message.Message) (map[int]string, error)

	// Only is an SQL condition that every row for this sink meets; empty if any row may be for it. The relay does not
	// read the data of other rows, and does not read batches that have only other rows.
	Only string

	// Announce returns the message that announces an epoch; the first epoch of a sink is not announced. Announce is nil
	// for a sink without announcements.
	Announce func(epoch string, at time.Time) (*message.Message, error)

	// Trim removes entries before an ID, which are no longer needed. It is nil for a sink that keeps no entries.
	Trim func(ctx context.Context, before ID) error

	// Tasks says that the entries are tasks to be executed. Such a sink is never rewound: of the tasks that it has
	// lost, only those that fired within the last Redeliver and are not known to have started are handed over again.
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
