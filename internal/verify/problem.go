package verify

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/tactus-dev/tactus/domain"
)

// Kinds of problems.
const (
	EventMissing      = "event_missing"      // in Postgres, not in the stream
	EventUnknown      = "event_unknown"      // in the stream, not in Postgres
	EventTwice        = "event_twice"        // in the stream
	EventOutOfOrder   = "event_out_of_order" // in the stream
	EventDiffers      = "event_differs"      // the stream and the log have different contents
	LogWentBack       = "log_went_back"      // the database was restored, and has lost what is still known elsewhere
	RelayBehind       = "relay_behind"       // events were not published in time
	EntryUnreadable   = "entry_unreadable"   // in the stream
	VersionGap        = "version_gap"        // in the log
	VersionTwice      = "version_twice"      // in the log
	EventUnreadable   = "event_unreadable"   // in the log
	ProjectionDiffers = "projection_differs" // a row of tactus.schedules differs from what its events say
	ProjectionMissing = "projection_missing" // there are events, and no row
	ProjectionUnknown = "projection_unknown" // there is a row, and no event
	RunTwice          = "run_twice"          // a due time has two runs
	RunMissedToo      = "run_missed_too"     // a due time in a missed range has a run or a reason besides
	RunWithoutEvent   = "run_without_event"
	RunEventTwice     = "run_event_twice"
	DueMissing        = "due_missing" // a due time has neither a run nor a reason
	NeverDue          = "never_due"   // an enabled schedule has neither a due time, nor a run, nor a reason
	RunNotDue         = "run_not_due" // a run for an instant that was not a due time
	RunTooMany        = "run_too_many"
	BackfillDiffers   = "backfill_differs"  // a backfill has not the runs that it has made
	RunEventUnknown   = "run_event_unknown" // an event of a run that does not exist, or was not fired
)

// Problem is one promise that is broken.
type Problem struct {
	Kind       string    `json:"kind"`
	ScheduleID domain.ID `json:"schedule_id,omitzero"`
	Version    int64     `json:"version,omitempty"`
	RunID      domain.ID `json:"run_id,omitzero"`
	Entry      string    `json:"entry,omitempty"` // the ID of an entry of the stream
	Message    string    `json:"message"`
}

func (p Problem) compare(q Problem) int {
	return cmp.Or(cmp.Compare(p.Kind, q.Kind), slices.Compare(p.ScheduleID[:], q.ScheduleID[:]),
		cmp.Compare(p.Version, q.Version), slices.Compare(p.RunID[:], q.RunID[:]), cmp.Compare(p.Message, q.Message))
}

// Report is the result of a check.
type Report struct {
	Events        int64      `json:"events"`         // in the log, about schedules
	StreamEntries int64      `json:"stream_entries"` // with such events
	Schedules     int64      `json:"schedules"`      // deleted ones too
	Runs          int64      `json:"runs"`
	Unpublished   int64      `json:"unpublished"`             // events that the relay has not published yet
	SetAside      int64      `json:"set_aside"`               // events that could not be published: see tactus deadletter
	Trimmed       int64      `json:"trimmed"`                 // events older than the stream's oldest entry
	DueTimes      int64      `json:"due_times,omitempty"`     // due times of the window that had to be settled
	Overtaken     int64      `json:"due_overtaken,omitempty"` // due times of the window that an edit just after may have overtaken
	ShadowUntil   *time.Time `json:"shadow_until,omitempty"`  // due times of the window until then were another beat's, and are not checked
	Restores      []Restore  `json:"restores,omitempty"`      // the recorded times when PostgreSQL may have lost the end of the log
	Found         int64      `json:"found"`                   // all problems; Problems has at most Config.Limit of them
	Problems      []Problem  `json:"problems"`
}

// longestMessage bounds a message, in characters: it may cite an entry of the stream, which can hold anything.
const longestMessage = 5000

// problem adds a problem to the report. Problems beyond the limit are only counted.
func (c *checker) problem(p Problem, format string, args ...any) {
	c.report.Found++
	if len(c.report.Problems) < c.config.Limit {
		p.Message = fmt.Sprintf("%.*s", longestMessage, fmt.Sprintf(format, args...))
		c.report.Problems = append(c.report.Problems, p)
	}
}

func stamp(t *time.Time) string { return t.UTC().Format(time.RFC3339Nano) }
