package importer

import (
	"time"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/oldbeat"
)

// Entry is one schedule of a source.
type Entry struct {
	Definition  domain.Definition    // as it was said; not normalized
	numbered    bool                 // others may have its name, and it is told apart from them by a number
	Typed       string               // its cron expression as it was typed; empty when it is not Celery's
	LastRun     time.Time            // zero when it never ran
	Refused     string               // why it cannot be brought in; empty when it can
	Notes       []string             // what is to be known besides
	Differences []oldbeat.Difference // what nothing here does as the old beat did
	clocks      string               // the zone whose clocks the old beat counts intervals by; empty when it is not known
	expected    *expected            // what Celery's own beat would do; nil when it was not asked
}

func (e *Entry) differ(kind, message string) {
	e.Differences = append(e.Differences, oldbeat.Difference{Code: kind, Message: message})
}

// Source is where entries come from: a kind of place, and which one of that kind. Schedules bear it as a tag, so that two
// files, two hosts or two applications neither change nor prune each other's.
type Source struct{ Kind, Label string }

// The kinds of places.
const (
	RedBeat = "redbeat"
	Celery  = "celery"
	Crontab = "crontab"
)

func (s Source) tag() string {
	if s.Label == "" {
		return "import:" + s.Kind
	}
	return "import:" + s.Kind + ":" + s.Label
}
