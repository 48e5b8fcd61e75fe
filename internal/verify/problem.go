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
	EventDiffers      = "event_differs"      // the stream says another thing than Postgres
	LogWentBack       = "log_went_back"      // the end of the log is lost: what of it is known elsewhere
	RelayBehind       = "relay_behind"       // events were not published in time
	EntryUnreadable   = "entry_unreadable"   // in the stream
	VersionGap        = "version_gap"        // in the log
	VersionTwice      = "version_twice"      // in the log
	EventUnreadable   = "event_unreadable"   // in the log
	ProjectionDiffers = "projection_differs" // a row of tactus.schedules is not what its events make
	ProjectionMissing = "projection_missing" // there are events, and no row
	ProjectionUnknown = "projection_unknown" // there is a row, and no event
	RunTwice          = "run_twice"          // a due time has two runs
	RunMissedToo      = "run_missed_too"     // a due time has a run, or two reasons, and lies in a missed range
	RunWithoutEvent   = "run_without_event"
	RunEventTwice     = "run_event_twice"
	DueMissing        = "due_missing" // a due time has neither a run nor a reason
	NeverDue          = "never_due"   // it is enabled and has neither a due time, nor a run, nor a reason
	RunNotDue         = "run_not_due" // of a due time that was none
	RunTooMany        = "run_too_many"
	RunEventUnknown   = "run_event_unknown" // of a run that is not there, or that has not fired
)

// Problem is one thing that is not as promised.
type Problem struct {
	Kind       string    `json:"kind"`
	ScheduleID domain.ID `json:"schedule_id,omitzero"`
	Version    int64     `json:"version,omitempty"`
	RunID      domain.ID `json:"run_id,omitzero"`
	Entry      string    `json:"entry,omitempty"` // of the stream
	Message    string    `json:"message"`
}

func (p Problem) compare(q Problem) int {
	return cmp.Or(cmp.Compare(p.Kind, q.Kind), slices.Compare(p.ScheduleID[:], q.ScheduleID[:]),
		cmp.Compare(p.Version, q.Version), slices.Compare(p.RunID[:], q.RunID[:]), cmp.Compare(p.Message, q.Message))
}

// Report is what a check has found.
type Report struct {
	Events        int64      `json:"events"`         // about schedules, in Postgres
	StreamEntries int64      `json:"stream_entries"` // that carry such an event
	Schedules     int64      `json:"schedules"`      // tombstones too
	Runs          int64      `json:"runs"`
	Unpublished   int64      `json:"unpublished"`             // events that the relay has not come to yet
	SetAside      int64      `json:"set_aside"`               // events that could not be published: see tactus deadletter
	Trimmed       int64      `json:"trimmed"`                 // events older than the stream's oldest entry
	DueTimes      int64      `json:"due_times,omitempty"`     // in the window, that had to be settled
	Overtaken     int64      `json:"due_overtaken,omitempty"` // in the window, by an edit just after, so that they need not have fired
	ShadowUntil   *time.Time `json:"shadow_until,omitempty"`  // in the window, due times until then were another beat's: they are not looked at
	Restores      []Restore  `json:"restores,omitempty"`      // when Postgres may have lost the end of the log, while that is kept
	Found         int64      `json:"found"`                   // how many problems there are; at most Config.Limit are told
	Problems      []Problem  `json:"problems"`
}

// longestMessage bounds, in characters, what a message cites: an entry of the stream may have anything in it.
const longestMessage = 5000

// problem adds one. What is past the limit is only counted.
func (c *checker) problem(p Problem, format string, args ...any) {
	c.report.Found++
	if len(c.report.Problems) < c.config.Limit {
		p.Message = fmt.Sprintf("%.*s", longestMessage, fmt.Sprintf(format, args...))
		c.report.Problems = append(c.report.Problems, p)
	}
}

func stamp(t *time.Time) string { return t.UTC().Format(time.RFC3339Nano) }
