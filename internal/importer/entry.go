package importer

import (
	"time"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/oldbeat"
)

// Entry is one schedule of a source.
type Entry struct {
	Definition  domain.Definition    // as the source has it, not normalized
	numbered    bool                 // whether entries with the same name are kept apart by numbers
	Typed       string               // its cron expression as its author wrote it; empty when it is not Celery's
	LastRun     time.Time            // zero when it never ran
	Refused     string               // why it cannot be imported; empty when it can
	Notes       []string             // remarks for the user
	Differences []oldbeat.Difference // ways in which tactus runs it differently from the old beat
	clocks      string               // the zone by whose clocks the old beat counts intervals; empty when not known
	expected    *expected            // what Celery's own beat would do; nil when Celery was not asked
}

func (e *Entry) differ(kind, message string) {
	e.Differences = append(e.Differences, oldbeat.Difference{Code: kind, Message: message})
}

// Source is where entries come from: the kind of place, and a label for the place. Schedules carry both in a tag, so
// that imports from two files, hosts or applications do not change or prune each other's schedules.
type Source struct{ Kind, Label string }

// The kinds of places.
const (
	RedBeat = "redbeat"
	Celery  = "celery"
	Crontab = "crontab"
)

// tag returns the tag of schedules from the source.
func (s Source) tag() string {
	if s.Label == "" {
		return "import:" + s.Kind
	}
	return "import:" + s.Kind + ":" + s.Label
}
