package importer

import (
	"fmt"
	"time"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/domain/zone"
)

// expected is what Celery's own beat would do with an entry.
type expected struct {
	from     time.Time   // since when
	due      []time.Time // when it would send next
	relative bool        // it is an interval that keeps to the clock of the application's zone
	timezone string      // of its schedule; empty when that has no name
	sent     sent
}

// differences compares the instants with those at which tactus fires the schedule. Of an interval only the steps count: where it
// began is known to the file of the old beat alone.
func (c expected) differences(s domain.Schedule, differ func(kind, message string)) error {
	recurrence, err := s.Recurrence()
	if err != nil {
		return err
	}
	if s.IntervalSeconds != 0 && !c.relative {
		c.steps(s.IntervalSeconds, differ)
		return nil
	}
	ours := dueTimes(s.Policy(), recurrence, c.from, len(c.due))
	first := -1
	for i := range c.due {
		if i >= len(ours) || !ours[i].Equal(c.due[i]) {
			first = i
			break
		}
	}
	if first < 0 {
		return nil
	}
	theirs := "never"
	if first < len(ours) {
		theirs = ours[first].UTC().Format(time.RFC3339)
	}
	kind, why := c.reason(ours, s.Timezone)
	differ(kind, fmt.Sprintf("Celery's beat sends it at %s, tactus at %s: %s", c.due[first].UTC().Format(time.RFC3339), theirs, why))
	return nil
}

func (c expected) steps(every float64, differ func(kind, message string)) {
	want := time.Duration(every * float64(time.Second))
	for i := 1; i < len(c.due); i++ {
		if step := c.due[i].Sub(c.due[i-1]); step != want {
			kind, why := "instants", ""
			if location, err := zone.Load(c.timezone); err == nil && step-want == changed(c.due[i-1], c.due[i], location) {
				kind, why = "dst", ": the clocks of "+c.timezone+" change then, which Celery's intervals follow"
			}
			differ(kind, fmt.Sprintf("Celery's beat sends it %s after %s, tactus every %s%s", step, c.due[i-1].UTC().Format(time.RFC3339), want, why))
			return
		}
	}
}

// changed is by how much the clocks of a zone are put back between two instants.
func changed(from, to time.Time, location *time.Location) time.Duration {
	_, before := from.In(location).Zone()
	_, after := to.In(location).Zone()
	return time.Duration(before-after) * time.Second
}

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

// reason tells why instants differ: by a constant, because of the zone; only about changes of the zone's clocks; or in another
// way.
func (c expected) reason(ours []time.Time, timezone string) (kind, why string) {
	if len(ours) == len(c.due) {
		shift := ours[0].Sub(c.due[0])
		constant := true
		for i := range ours {
			constant = constant && ours[i].Sub(c.due[i]) == shift
		}
		if constant {
			return "zone", fmt.Sprintf("it is in another time zone than %s: say which by --celery-timezone", timezone)
		}
	}
	location, err := zone.Load(timezone)
	if err == nil && aboutChanges(apart(ours, c.due), location) {
		return "dst", "the clocks of " + timezone + " change then"
	}
	return "instants", "their schedules are not the same"
}

// apart are the instants that only one of two lists has, as far as both go.
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
		_, before := at.Add(-day).In(location).Zone()
		_, after := at.Add(day).In(location).Zone()
		if before == after {
			return false
		}
	}
	return len(instants) > 0
}
