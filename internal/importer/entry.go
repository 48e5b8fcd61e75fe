package importer

import (
	"time"

	"github.com/tactus-dev/tactus/domain"
)

// Entry is one schedule of a source.
type Entry struct {
	Definition domain.Definition // as it was said; not normalized
	Typed      string            // its cron expression as it was typed; empty when it is not Celery's
	LastRun    time.Time         // zero when it never ran
	Refused    string            // why it cannot be brought in; empty when it can
	Notes      []string          // what is left behind
}

// Source is where entries come from. Its tag marks the schedules that it made.
type Source string

// The sources.
const (
	RedBeat Source = "redbeat"
	Celery  Source = "celery"
	Crontab Source = "crontab"
)

func (s Source) tag() string { return "import:" + string(s) }
