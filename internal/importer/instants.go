package importer

import (
	"cmp"
	"fmt"
	"time"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/domain/zone"
	"github.com/tactus-dev/tactus/internal/oldbeat"
)

// expected is what Celery's own beat would do with an entry.
type expected struct {
	next     stretch
	changes  []stretch // around each change of the zone's clocks within a year
	relative bool      // whether the entry is an interval that stays on round times of the application's zone
	timezone string    // of its schedule; empty when the zone has no name
	sent     sent
}

// stretch is a range of time, and when Celery's beat would send an entry within it.
type stretch struct {
	From  time.Time   `json:"from"`
	Until time.Time   `json:"until"`
	Due   []time.Time `json:"due"`
}

// differences compares when Celery's beat and tactus fire a schedule, and reports the first difference. For an interval
// that is not relative it compares only the steps, because only the old beat's file knows where the interval began.
func (c expected) differences(s domain.Schedule, differ func(kind, message string)) error {
	recurrence, err := s.Recurrence()
	if err != nil {
		return err
	}
	if s.IntervalSeconds != 0 && !c.relative {
		// The first may be a period away, and the last longer by a change of clocks.
		every := time.Duration(s.IntervalSeconds * float64(time.Second))
		c.silent(c.next.From.Add(every*time.Duration(len(c.next.Due)+1)+2*time.Hour), s.Timezone, differ)
		c.steps(append([]stretch{c.next}, c.changes...), s.IntervalSeconds, differ)
		return nil
	}
	ours := dueTimes(s.Policy(), recurrence, c.next.From, len(c.next.Due))
	if theirs, own, apart := part(c.next.Due, ours); apart {
		kind, why := c.reason(ours, s.Timezone)
		differ(kind, fmt.Sprintf("%s: %s", c.both(theirs, own, s.Timezone), why))
		return nil
	}
	if more := dueTimes(s.Policy(), recurrence, c.next.From, len(ours)+1); len(more) > len(ours) {
		c.silent(more[len(ours)], s.Timezone, differ)
	}
	if c.relative {
		c.steps(c.changes, s.IntervalSeconds, differ)
		return nil
	}
	for _, about := range c.changes {
		ours := dueUntil(s.Policy(), recurrence, about.From, about.Until)
		if theirs, own, parted := part(about.Due, ours); parted {
			kind, why := besidesZone(apart(ours, about.Due), s.Timezone)
			differ(kind, fmt.Sprintf("%s: %s", c.both(theirs, own, s.Timezone), why))
			return nil
		}
	}
	return nil
}

// silent tells that Celery names fewer instants than tactus has due times, as for a clock that does not go with the
// time. next is tactus' next due time after as many.
func (c expected) silent(next time.Time, timezone string, differ func(kind, message string)) {
	if next.After(c.next.Until) {
		return
	}
	differ("instants", fmt.Sprintf("Celery's beat sends it %d times until %s, tactus at %s, too", len(c.next.Due),
		oldbeat.At(c.next.Until, cmp.Or(c.timezone, timezone)), oldbeat.At(next, timezone)))
}

// part returns the first pair of instants at which two lists differ. An instant is zero when its list has ended.
func part(theirs, ours []time.Time) (their, our time.Time, parted bool) {
	for i := range max(len(theirs), len(ours)) {
		if i < len(theirs) && i < len(ours) && theirs[i].Equal(ours[i]) {
			continue
		}
		if i < len(theirs) {
			their = theirs[i]
		}
		if i < len(ours) {
			our = ours[i]
		}
		return their, our, true
	}
	return their, our, false
}

// both describes when each beat sends an entry, each instant by the clock of its beat's zone.
func (c expected) both(theirs, ours time.Time, timezone string) string {
	return fmt.Sprintf("Celery's beat sends it at %s, tactus at %s", oldbeat.At(theirs, cmp.Or(c.timezone, timezone)),
		oldbeat.At(ours, timezone))
}

// steps compares the time between two neighbouring instants with an interval, which is in seconds.
func (c expected) steps(in []stretch, every float64, differ func(kind, message string)) {
	want := time.Duration(every * float64(time.Second))
	for _, about := range in {
		for i := 1; i < len(about.Due); i++ {
			step := about.Due[i].Sub(about.Due[i-1])
			if step == want {
				continue
			}
			kind, why := "instants", ""
			if location, err := zone.Load(zone.Link(c.timezone)); err == nil &&
				offset(about.Due[i-1], location) != offset(about.Due[i], location) {
				kind, why = "dst", ": the clocks of "+c.timezone+" change then, which Celery's intervals follow"
			}
			differ(kind, fmt.Sprintf("Celery's beat sends it %s after %s, tactus every %s%s", step,
				oldbeat.At(about.Due[i-1], c.timezone), want, why))
			return
		}
	}
}

// offset returns a zone's offset at an instant, in seconds east of UTC.
func offset(at time.Time, location *time.Location) int {
	_, seconds := at.In(location).Zone()
	return seconds
}

// dueTimes returns the next n due times after an instant.
func dueTimes(p domain.Policy, r domain.Recurrence, after time.Time, n int) (due []time.Time) {
	for len(due) < n {
		at, ok := p.Next(r, after)
		if !ok {
			break
		}
		due, after = append(due, at), at
	}
	return due
}

// dueUntil returns the due times in (after, until].
func dueUntil(p domain.Policy, r domain.Recurrence, after, until time.Time) (due []time.Time) {
	for {
		at, ok := p.Next(r, after)
		if !ok || at.After(until) {
			return due
		}
		due, after = append(due, at), at
	}
}

// reason explains why instants differ: all by the same time, which means another zone; only around changes of the
// zone's clocks; or in another way.
func (c expected) reason(ours []time.Time, timezone string) (kind, why string) {
	if shifted(ours, c.next.Due) {
		return "zone", fmt.Sprintf("its clock is not that of %s by the time zone data here (%s): name its zone by "+
			"--celery-timezone, or renew the time zone data of whichever is behind", timezone, zone.Version())
	}
	return besidesZone(apart(ours, c.next.Due), timezone)
}

// shifted reports whether two lists differ by the same time throughout, as by the clocks of two zones. What is past by
// one clock and not by the other is in one list alone, as its first.
func shifted(a, b []time.Time) bool {
	if constant(a, b) {
		return len(a) == len(b)
	}
	const zones = 26 * time.Hour // from the first zone to see a day to the last
	near := func(a, b []time.Time) bool { return constant(a, b) && a[0].Sub(b[0]).Abs() <= zones }
	return len(a) > 2 && len(b) > 2 && (near(a[1:], b) || near(a, b[1:]))
}

// constant reports whether two lists, as far as both go, differ by the same time throughout.
func constant(a, b []time.Time) bool {
	if len(a) == 0 || len(b) == 0 {
		return false
	}
	shift := a[0].Sub(b[0])
	for i := range min(len(a), len(b)) {
		if a[i].Sub(b[i]) != shift {
			return false
		}
	}
	return true
}

// besidesZone explains why only one beat has some instants although both use the same zone.
func besidesZone(only []time.Time, timezone string) (kind, why string) {
	location, err := zone.Load(timezone)
	if err == nil && aboutChanges(only, location) {
		return "dst", "the clocks of " + timezone + " change then"
	}
	return "instants", "their schedules are not the same"
}

// apart returns the instants that only one of two lists has, up to the end of the shorter list.
func apart(a, b []time.Time) (only []time.Time) {
	if len(a) == 0 || len(b) == 0 {
		return append(a, b...)
	}
	end := a[len(a)-1]
	if last := b[len(b)-1]; last.Before(end) {
		end = last
	}
	count := map[int64]int{}
	for _, list := range [][]time.Time{a, b} {
		for _, at := range list {
			count[at.UnixNano()]++
		}
	}
	for at, n := range count {
		if n == 1 && !time.Unix(0, at).After(end) {
			only = append(only, time.Unix(0, at))
		}
	}
	return only
}

// aboutChanges reports whether the clocks of a zone change within a day of each instant.
func aboutChanges(instants []time.Time, location *time.Location) bool {
	const day = 24 * time.Hour
	for _, at := range instants {
		if offset(at.Add(-day), location) == offset(at.Add(day), location) {
			return false
		}
	}
	return len(instants) > 0
}
