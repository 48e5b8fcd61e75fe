package relay

import (
	"time"

	"github.com/tactus-dev/tactus/outbox"
)

// Traces records what a relay does in traces. Its method must not block, and is called concurrently by all lanes.
type Traces interface {
	Published(Published)
}

// Published are entries that a sink has taken, with their rows, whose data was dropped. An entry without a message was
// not for the sink.
type Published struct {
	Sink         string
	Tasks        bool // the rows are runs
	Entries      []Entry
	Rows         []outbox.Row
	Began, Ended time.Time
}

// trace records the entries of a chunk behind a place. The sink had the entries before that place already.
func (l *lane) trace(c chunk, after ID, began time.Time) {
	if l.traces == nil {
		return
	}
	n := len(c.entries) - len(behind(c.entries, after))
	l.traces.Published(Published{l.Name, l.Tasks, c.entries[n:], c.rows[n:], began, time.Now()})
}
