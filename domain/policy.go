package domain

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"time"
)

// Misfire policies: which of the missed due times fire.
const (
	MisfireLatest = "latest" // the last one within the window
	MisfireAll    = "all"    // each one within the window, at most MaxCatchUp
	MisfireNone   = "none"
)

// Overlap policies: what becomes of a due time while an earlier run is unfinished. Allow fires it.
const (
	OverlapAllow = "allow"
	OverlapSkip  = "skip"  // it is recorded as skipped
	OverlapQueue = "queue" // it waits, unless one waits already
)

// Reasons of due times that an overlap policy kept back.
const (
	ReasonSkip  = "execution policy skip: the previous run is unfinished"
	ReasonQueue = "execution policy queue: another run waits already"
	ReasonWaits = "execution policy queue: waits until the previous run has finished"
)

// ReasonWaitsForBackfill is the reason of a due time that a backfill keeps back.
const ReasonWaitsForBackfill = "waits until the run of a backfill has finished"

// ReasonCancelled is the reason of a run that somebody cancelled before it was handed over.
const ReasonCancelled = "cancelled before it was handed over"

// ReasonSkipped is the reason of due times that somebody skips; the row of a run adds who, and why.
const ReasonSkipped = "skipped by hand"

// ReasonAside is the reason of a due time that could not be fired and was set aside.
const ReasonAside = "set aside: it cannot be fired"

// What becomes of a schedule that can fire no more.
const (
	OnCompletedKeep   = "keep"
	OnCompletedDelete = "delete"
)

// DefaultLease is how long a silent run without a time limit counts as unfinished: its result may have been lost.
const DefaultLease = time.Hour

// Defaults and bounds of policies.
const (
	DefaultGrace  = 60     // seconds
	DefaultWindow = 86_400 // seconds
	MaxCatchUp    = 1000   // the most due times that misfire policy "all" fires
)

// Policy limits when a schedule fires, and says what becomes of missed due times. Durations are in seconds.
type Policy struct {
	StartsAt time.Time `json:"starts_at,omitzero"`
	EndsAt   time.Time `json:"ends_at,omitzero"`
	MaxRuns  int64     `json:"max_runs,omitempty"`
	Jitter   int64     `json:"jitter,omitempty"`
	Misfire  string    `json:"misfire"`
	Window   int64     `json:"window"`
	Grace    int64     `json:"grace"`
	Expires  int64     `json:"expires,omitempty"`
	Overlap  string    `json:"overlap,omitempty"`      // empty: runs may overlap
	Done     string    `json:"on_completed,omitempty"` // empty: as is set for all

	Calendars *CalendarRule `json:"calendars,omitempty"` // nil: there are none
	Skip      time.Time     `json:"skip,omitzero"`       // due times up to this one are skipped
}

// Policy returns the policy of a schedule: that of its definition, and what is to be skipped.
func (s Schedule) Policy() Policy {
	p := s.Definition.Policy()
	p.Skip = s.SkipUntil
	return p
}

// Policy returns the policy of a normalized definition.
func (d Definition) Policy() Policy {
	overlap := d.ExecutionPolicy
	if overlap == OverlapAllow {
		overlap = ""
	}
	return Policy{
		Calendars: d.calendarRule(), Overlap: overlap, Done: d.OnCompleted, StartsAt: instant(d.StartsAt), EndsAt: instant(d.EndsAt), MaxRuns: d.MaxRuns, Jitter: d.JitterSeconds,
		Misfire: d.MisfirePolicy, Window: orDefault(d.MisfireWindowSeconds, DefaultWindow), Grace: orDefault(d.MisfireGraceSeconds, DefaultGrace), Expires: d.ExpiresSeconds,
	}
}

func orDefault(seconds *int64, otherwise int64) int64 {
	if seconds == nil {
		return otherwise
	}
	return *seconds
}

// ParsePolicy parses the text that Policy.String returns.
func ParsePolicy(text string) (Policy, error) {
	var p Policy
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		return Policy{}, fmt.Errorf("parse policy: %w", err)
	}
	return p, nil
}

func (p Policy) String() string {
	text, _ := json.Marshal(p) // times within RFC 3339's years always encode: Normalize has checked
	return string(text)
}

// Next returns the first due time after the instant within StartsAt and EndsAt (both inclusive); false when there is
// none.
func (p Policy) Next(r Recurrence, after time.Time) (time.Time, bool) {
	due, ok := r.Next(p.from(after))
	if !ok || !p.allows(due) || due.After(lastInstant) {
		return time.Time{}, false
	}
	return due, true
}

// Range returns the first and the last of the due times after an instant, up to and with another; false if there are
// none.
func (p Policy) Range(r Recurrence, after, until time.Time) (first, last time.Time, ok bool) {
	first, ok = p.Next(r, after)
	if !ok || first.After(until) {
		return time.Time{}, time.Time{}, false
	}
	if !p.allows(until) {
		until = p.EndsAt
	}
	if last, ok = r.Prev(until.Add(1)); !ok || last.Before(first) {
		last = first
	}
	return first, last, true
}

// lastInstant ends what is ever due: a day later the clocks of some zone would show a year that RFC 3339 cannot write.
var lastInstant = time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)

// from returns the instant after which due times count: just before StartsAt, if that is later than the given instant.
func (p Policy) from(after time.Time) time.Time {
	if before := p.StartsAt.Add(-1); !p.StartsAt.IsZero() && before.After(after) {
		return before
	}
	return after
}

// allows reports whether an instant is not after EndsAt.
func (p Policy) allows(due time.Time) bool { return p.EndsAt.IsZero() || !due.After(p.EndsAt) }

// FireAt returns when a due time fires: later than the due time by the schedule's jitter. The jitter depends only on
// the schedule and the due time, is less than the gap to the next due time, and does not lead beyond EndsAt. The run is
// still identified by its due time.
func (p Policy) FireAt(id ID, r Recurrence, due time.Time) time.Time {
	if p.Jitter <= 0 {
		return due
	}
	limit := time.Duration(p.Jitter) * time.Second
	if next, ok := r.Next(due); ok {
		limit = min(limit, next.Sub(due)-1)
	}
	if !p.EndsAt.IsZero() {
		limit = min(limit, p.EndsAt.Sub(due))
	}
	if limit <= 0 {
		return due
	}
	return due.Add(time.Duration(hash(id, due) % uint64(limit)))
}

func hash(id ID, due time.Time) uint64 {
	h := fnv.New64a()
	h.Write(id[:]) // a hash never fails to write
	fmt.Fprintf(h, "%d", due.UnixNano())
	// FNV's high bits barely move for inputs that differ in the last byte: mix them (the finalizer of MurmurHash3).
	x := h.Sum64()
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	return x
}
