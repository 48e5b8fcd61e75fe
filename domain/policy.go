package domain

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"math/bits"
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
	Jitter   int32     `json:"jitter,omitempty"`
	Spread   int32     `json:"spread,omitempty"`
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
		Calendars: d.calendarRule(), Overlap: overlap, Done: d.OnCompleted, StartsAt: instant(d.StartsAt), EndsAt: instant(d.EndsAt), MaxRuns: d.MaxRuns,
		Jitter: int32(d.JitterSeconds), Spread: int32(d.SpreadSeconds), // Normalize has bounded both
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

// FireAt returns when a due time fires: later than the due time by the schedule's spread and its jitter. The spread's
// part of the delay depends only on the schedule, the jitter's on the schedule and the due time. Together they are less
// than the gap to the next due time, and do not lead beyond EndsAt. The run is still identified by its due time.
func (p Policy) FireAt(id ID, r Recurrence, due time.Time) time.Time {
	if p.Jitter <= 0 && p.Spread <= 0 {
		return due
	}
	room := p.room(r, due)
	fire := due
	if window := p.spread(room); window > 0 {
		part, _ := bits.Mul64(mixed(id[:]), uint64(window))
		fire = due.Add(time.Duration(part))
		room -= time.Duration(part)
	}
	if jitter := min(seconds(p.Jitter), room); jitter > 0 {
		fire = fire.Add(time.Duration(hash(id, due) % uint64(jitter)))
	}
	return fire
}

// SpreadFrom returns within how long after a due time the schedules of a policy fire, each at its part of it: the
// policy's spread, or less where the next due time or EndsAt is nearer. All parts shrink alike then, so that schedules
// stay apart.
func (p Policy) SpreadFrom(r Recurrence, due time.Time) time.Duration {
	if p.Spread <= 0 {
		return 0
	}
	return p.spread(p.room(r, due))
}

func (p Policy) spread(room time.Duration) time.Duration { return max(min(seconds(p.Spread), room), 0) }

// room returns how much later than a due time it may fire: less than the gap to the next one, and not beyond EndsAt.
func (p Policy) room(r Recurrence, due time.Time) time.Duration {
	room := p.Delay()
	if next, ok := r.Next(due); ok {
		room = min(room, next.Sub(due)-1)
	}
	if !p.EndsAt.IsZero() {
		room = min(room, p.EndsAt.Sub(due))
	}
	return room
}

// Delay returns how much later than its due time a run may fire at most, by jitter and spread.
func (p Policy) Delay() time.Duration { return seconds(p.Jitter) + seconds(p.Spread) }

func seconds(n int32) time.Duration { return time.Duration(n) * time.Second }

func hash(id ID, due time.Time) uint64 { return mixed(fmt.Appendf(id[:], "%d", due.UnixNano())) }

func mixed(text []byte) uint64 {
	h := fnv.New64a()
	h.Write(text) // a hash never fails to write
	// FNV's high bits barely move for inputs that differ in the last byte: mix them (the finalizer of MurmurHash3).
	x := h.Sum64()
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	return x
}
