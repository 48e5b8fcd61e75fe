package relay

import (
	"time"

	"github.com/tactus-dev/tactus/outbox"
)

// Traces records in traces what a relay does. It waits for nobody, and is called by all lanes.
type Traces interface {
	Published(Published)
}

// Published are entries that a sink has taken, and their rows, which have no data any more. An entry without a message
// was not for the sink.
type Published struct {
	Sink         string
	Tasks        bool // the rows are runs
	Entries      []Entry
	Rows         []outbox.Row
	Began, Ended time.Time
}

// trace records what was published of a chunk behind a place: the sink may have had the entries before it.
func (l *lane) trace(c chunk, after ID, began time.Time) {
	if l.traces == nil {
		return
	}
	n := len(c.entries) - len(behind(c.entries, after))
	l.traces.Published(Published{l.Name, l.Tasks, c.entries[n:], c.rows[n:], began, time.Now()})
}
