package calendar

import (
	"cmp"
	"fmt"
	"slices"
	"sort"
	"time"
	"unsafe"

	"github.com/tactus-dev/tactus/domain/cron"
	"github.com/tactus-dev/tactus/domain/rrule"
	"github.com/tactus-dev/tactus/domain/zone"
)

// span is from an instant to just before another, in seconds.
type span struct {
	from, to int64
	reason   string
}

// spans are in order, and do not overlap.
type spans []span

// Set is a compiled calendar. It is immutable.
type Set struct {
	wall  spans // of the clock on the wall
	fixed spans // of real time
	cost  int
	text  int // bytes of the reasons
}

// Compile compiles the items of a calendar. The error is Errors, with every fault.
func Compile(items []Item) (*Set, error) { return CompileWithin(items, MaxWork) }

// CompileWithin compiles items whose set costs at most so much.
func CompileWithin(items []Item, most int) (*Set, error) {
	var faults Errors
	if len(items) > MaxItems {
		return nil, Errors{{Code: CodeTooLarge, Item: -1, Message: "a calendar has at most 10000 days and ranges: let what recurs recur (rrule), or part it"}}
	}
	most = min(most, MaxWork)
	s, work := &Set{}, most
	for n, item := range items {
		if len(faults) >= MaxFaults {
			break
		}
		if fault := s.add(item, &work); fault != nil {
			fault.Item = n
			faults = append(faults, fault)
		}
		if len(s.wall)+len(s.fixed) > MaxSpans {
			faults = append(faults, &Error{Code: CodeTooLarge, Item: n, Member: "rrule", Message: fmt.Sprintf("a calendar has at most %d days and ranges, "+
				"repetitions included: begin them later (from), let them end (UNTIL), or part the calendar", MaxSpans)})
			break
		}
		if work <= 0 {
			faults = append(faults, &Error{Code: CodeTooLarge, Item: n, Member: "rrule", Message: "the recurrences up to this one take " +
				"too long to go through: write simpler rules (without BYSETPOS or COUNT), begin them later (from), or part the calendar"})
			break
		}
	}
	if len(faults) > 0 {
		return nil, faults
	}
	s.wall, s.fixed, s.cost = apart(s.wall), apart(s.fixed), most-work
	return s, nil
}

func (s *Set) add(i Item, work *int) *Error {
	if fault := i.textFault(); fault != nil {
		return fault
	}
	*work -= spanWork + len(i.Reason)/bytesAStep
	s.text += len(i.Reason)
	first, fixed, fault := i.span()
	switch {
	case fault != nil:
		return fault
	case i.Timezone != "":
		return s.addIn(i, first, work)
	case fixed:
		s.fixed = append(s.fixed, first)
		return nil
	case i.RRule == "":
		s.wall = append(s.wall, first)
		return nil
	}
	repeated, fault := i.repeat(first, time.UTC, MaxSpans-len(s.wall), work)
	s.wall = append(s.wall, repeated...)
	return fault
}

// addIn adds an item whose local times are those of a zone of its own.
func (s *Set) addIn(i Item, first span, work *int) *Error {
	location, err := zone.Load(i.Timezone)
	if err != nil {
		return &Error{Code: "timezone_unknown", Member: "timezone", Message: err.Error()}
	}
	if i.RRule == "" {
		s.fixed = append(s.fixed, span{instantOf(first.from, location).Unix(), instantOf(first.to, location).Unix(), first.reason})
		return nil
	}
	repeated, fault := i.repeat(first, location, MaxSpans-len(s.fixed), work)
	s.fixed = append(s.fixed, repeated...)
	return fault
}

// repeat returns the repetitions of a span in a zone, at most one more than may be.
func (i Item) repeat(first span, location *time.Location, most int, work *int) (all spans, fault *Error) {
	rule, err := rrule.Parse(i.RRule)
	if err == nil && (rule.HasStart() || rule.Zone() != "") {
		return nil, &Error{Code: rrule.CodeSyntax, Member: "rrule", Message: "it begins at from, in the zone of whoever asks: leave DTSTART and TZID out"}
	}
	var due rrule.Recurrence
	if err == nil {
		due, err = rule.Within(work, location, instantOf(first.from, location), cron.GapAuto, cron.OverlapAuto)
	}
	if *work <= 0 {
		return nil, nil // Compile tells
	}
	if err != nil {
		return nil, &Error{Code: rrule.CodeSyntax, Member: "rrule", Message: err.Error()}
	}
	after := time.Date(FirstYear, 1, 1, 0, 0, 0, 0, location).Add(-1)
	until := time.Date(LastYear+1, 1, 1, 0, 0, 0, 0, location)
	for at, ok := due.Next(after); ok && at.Before(until) && len(all) <= most; at, ok = due.Next(at) {
		*work -= spanWork
		all = append(all, span{at.Unix(), at.Unix() + first.to - first.from, first.reason})
	}
	if len(all) == 0 && *work > 0 {
		return nil, &Error{Code: rrule.CodeNeverFires, Member: "rrule", Message: fmt.Sprintf("it repeats nothing in the years %d to %d", FirstYear, LastYear)}
	}
	return all, nil
}

// spanWork is what it costs to resolve and to keep a day or a range, in steps, of which each pays for some bytes.
const (
	spanWork   = 8
	bytesAStep = int(unsafe.Sizeof(span{})) / spanWork
)

// apart puts spans in order, and leaves each only what none before it has.
func apart(all spans) spans {
	slices.SortStableFunc(all, func(a, b span) int { return cmp.Compare(a.from, b.from) })
	kept := all[:0]
	for _, s := range all {
		if n := len(kept); n > 0 && s.from < kept[n-1].to {
			s.from = kept[n-1].to
		}
		if s.from < s.to {
			kept = append(kept, s)
		}
	}
	return slices.Clip(kept)
}

// Size returns how many days and ranges the set has, repetitions included.
func (s *Set) Size() int { return len(s.wall) + len(s.fixed) }

// Bytes returns about how many bytes the set takes in memory.
func (s *Set) Bytes() int { return (s.Size()+least)*int(unsafe.Sizeof(span{})) + s.text }

// least is what a set counts that has nothing, in spans.
const least = 16

// Cost returns what it takes to compile the set and to keep it, in steps.
func (s *Set) Cost() int { return s.cost }

// next returns the number of the first span that ends after an instant.
func (all spans) next(at int64) int {
	return sort.Search(len(all), func(i int) bool { return all[i].to > at })
}

// holding returns the span that holds an instant.
func (all spans) holding(at int64) (span, bool) {
	if i := all.next(at); i < len(all) && all[i].from <= at {
		return all[i], true
	}
	return span{}, false
}

// touches reports whether any span overlaps [from, to).
func (all spans) touches(from, to int64) bool {
	i := all.next(from)
	return i < len(all) && all[i].from < to
}

// covers reports whether spans without a hole between them hold [from, to).
func (all spans) covers(from, to int64) bool {
	for i := all.next(from); i < len(all) && all[i].from <= from; i++ {
		if from = all[i].to; from >= to {
			return true
		}
	}
	return false
}

// Change is when a calendar begins or ceases to hold what it holds.
type Change struct {
	From, To time.Time // to just before To
	Reason   string
}

// After returns the first n days and ranges in a zone that end after an instant, in order.
func (s *Set) After(at time.Time, location *time.Location, n int) (changes []Change) {
	wall := wallOf(at, location)
	for i := s.wall.next(wall); i < len(s.wall) && len(changes) < n; i++ {
		w := s.wall[i]
		changes = append(changes, Change{instantOf(w.from, location), instantOf(w.to, location), w.reason})
	}
	for i := s.fixed.next(at.Unix()); i < len(s.fixed) && i < n; i++ {
		f := s.fixed[i]
		changes = append(changes, Change{time.Unix(f.from, 0).In(location), time.Unix(f.to, 0).In(location), f.reason})
	}
	slices.SortStableFunc(changes, func(a, b Change) int { return a.From.Compare(b.From) })
	return changes[:min(n, len(changes))]
}

const day = 86_400

// wallOf returns what the clocks of a zone show, in seconds.
func wallOf(at time.Time, location *time.Location) int64 {
	_, offset := at.In(location).Zone()
	return at.Unix() + int64(offset)
}

// instantOf returns when the clocks of a zone first show a time, or the end of the gap that skips it.
func instantOf(wall int64, location *time.Location) time.Time {
	at, _ := cron.ResolveLocal(time.Unix(wall, 0).UTC(), location, cron.GapRunAfter, cron.OverlapFirst)
	return at
}

func floorDay(wall int64) int64 {
	if wall < 0 {
		return (wall - day + 1) / day
	}
	return wall / day
}
