package rrule

import (
	"iter"
	"slices"
	"time"

	"github.com/tactus-dev/tactus/domain/cron"
)

// Recurrence is a rule in a zone. It is immutable.
type Recurrence struct {
	location *time.Location
	rule     *cron.Local // nil when there is none
	until    time.Time
	rdates   []time.Time // rising
	exdates  []time.Time // rising
}

// In binds a rule to a zone. start stands for a DTSTART that is missing. The error is an *Error: nothing is ever due.
func (r Rule) In(
	location *time.Location, start time.Time, gap cron.GapPolicy, overlap cron.OverlapPolicy,
) (Recurrence, error) {
	return r.Within(nil, location, start, gap, overlap)
}

// Within is In for a recurrence that takes the steps of all that it looks for from a budget, unless that is nil: once
// it is spent, nothing is due. It is for one goroutine.
func (r Rule) Within(
	budget *int, location *time.Location, start time.Time, gap cron.GapPolicy, overlap cron.OverlapPolicy,
) (Recurrence, error) {
	due := Recurrence{location: location}
	if r.untilSet {
		due.until = r.untilAt
	}
	resolve := func(m moment) (time.Time, bool) {
		at := time.Unix(m.wall, 0).UTC()
		if m.utc {
			return at.In(location), true
		}
		return cron.ResolveLocal(at, location, gap, overlap)
	}
	due.rdates, due.exdates = all(r.rdates, resolve), all(r.exdates, resolve)
	if r.hasRule {
		w, err := r.walls(budget, location, start)
		if err != nil {
			return Recurrence{}, err
		}
		local := cron.Resolve(w, location, gap, overlap)
		due.rule = &local
	}
	if _, ever := due.Next(time.Time{}); !ever {
		return Recurrence{}, &Error{Code: CodeNeverFires, Part: "RRULE", Hint: "nothing is due before the year 10000: look at the parts that exclude each other, and at UNTIL and EXDATE"}
	}
	return due, nil
}

// all are the instants of moments, in order.
func all(moments []moment, resolve func(moment) (time.Time, bool)) (instants []time.Time) {
	for _, m := range moments {
		if at, ok := resolve(m); ok {
			instants = append(instants, at)
		}
	}
	slices.SortFunc(instants, time.Time.Compare)
	return slices.CompactFunc(instants, time.Time.Equal)
}

// walls are the wall times of the rule, the last of them known.
func (r Rule) walls(budget *int, location *time.Location, start time.Time) (*walls, error) {
	begin := r.start
	if begin == nil {
		_, offset := start.In(location).Zone()
		begin = &moment{wall: start.Unix() + int64(offset)}
	} else if begin.utc {
		_, offset := time.Unix(begin.wall, 0).In(location).Zone()
		begin = &moment{wall: begin.wall + int64(offset)}
	}
	w := &walls{pattern: r.pattern.filled(begin.wall), start: begin.wall, last: farthest, budget: budget}
	if r.pattern.hasUntil {
		w.last = r.pattern.until
	}
	w.choose()
	if w.count == 0 {
		return w, nil
	}
	allowance := w.allowance(4 * most)
	steps := allowance
	at := w.start - 1
	for range w.count {
		next, ok := w.next(at+1, farthest, &steps)
		if !ok {
			break // it ends before: the year 9999 came first
		}
		at = next
	}
	if w.spend(allowance - steps); at < w.start {
		return w, nil // nothing is ever due, as In finds out
	} else if steps <= 0 {
		return nil, &Error{Code: CodeSyntax, Part: "COUNT", Hint: "it takes too long to count: use UNTIL"}
	}
	w.last = at
	return w, nil
}

// Next is the first due time later than the instant.
func (r Recurrence) Next(after time.Time) (time.Time, bool) {
	best, found := r.nextOfRule(after)
	for _, at := range r.rdates {
		if at.After(after) && !r.excluded(at) {
			if !found || at.Before(best) {
				best, found = at, true
			}
			break
		}
	}
	return best, found
}

func (r Recurrence) nextOfRule(after time.Time) (time.Time, bool) {
	if r.rule == nil {
		return time.Time{}, false
	}
	at, ok := r.rule.Next(after)
	for ok && r.excluded(at) {
		at, ok = r.rule.Next(at)
	}
	if !ok || !r.until.IsZero() && at.After(r.until) {
		return time.Time{}, false
	}
	return at, true
}

// Prev is the last due time before the instant.
func (r Recurrence) Prev(before time.Time) (time.Time, bool) {
	best, found := r.prevOfRule(before)
	for _, at := range slices.Backward(r.rdates) {
		if at.Before(before) && !r.excluded(at) {
			if !found || at.After(best) {
				best, found = at, true
			}
			break
		}
	}
	return best, found
}

func (r Recurrence) prevOfRule(before time.Time) (time.Time, bool) {
	if r.rule == nil {
		return time.Time{}, false
	}
	if !r.until.IsZero() && before.After(r.until) {
		before = r.until.Add(1)
	}
	at, ok := r.rule.Prev(before)
	for ok && r.excluded(at) {
		at, ok = r.rule.Prev(at)
	}
	return at, ok
}

// Shifted returns the wall times of the rule that are due at an instant because the zone skipped them (see
// cron.Local.Shifted), and reports whether the instant is due for its own sake.
func (r Recurrence) Shifted(at time.Time) (walls iter.Seq[int64], own bool) {
	if r.rule == nil {
		return func(func(int64) bool) {}, true
	}
	walls, own = r.rule.Shifted(at)
	_, date := slices.BinarySearchFunc(r.rdates, at, time.Time.Compare)
	return walls, own || date
}

func (r Recurrence) excluded(at time.Time) bool {
	_, found := slices.BinarySearchFunc(r.exdates, at, time.Time.Compare)
	return found
}
