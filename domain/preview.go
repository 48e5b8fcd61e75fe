package domain

import "time"

// MaxPreview is how many due times a preview answers at most.
const MaxPreview = 1000

// Preview is what a definition would do.
type Preview struct {
	DueTimes []time.Time `json:"due_times" doc:"In the schedule's zone, strictly rising."`
	Warnings []Warning   `json:"warnings"`
}

// Preview answers the next n due times after the instant, without the schedule being stored; what to run need not be
// said. n is 1 to MaxPreview. timezone is for a definition that names none.
func (d Definition) Preview(after time.Time, n int, timezone string) (Preview, error) {
	if d.TaskName == "" {
		d.TaskName = "preview"
	}
	if n < 1 || n > MaxPreview {
		var faults Faults
		faults.add("out_of_range", "/n", "%d: want 1 to %d", n, MaxPreview)
		return Preview{}, faults
	}
	d, warnings, err := d.Normalize(Context{Timezone: timezone, Now: after})
	if err != nil {
		return Preview{}, err
	}
	p := Preview{Warnings: append([]Warning{}, warnings...)}
	s := Schedule{Definition: d}
	p.DueTimes, err = s.Upcoming(after, n)
	return p, err
}

// Upcoming are the next n due times after the instant, in the schedule's zone, whether it is enabled or not.
func (s Schedule) Upcoming(after time.Time, n int) ([]time.Time, error) {
	recurrence, err := s.Recurrence()
	if err != nil {
		return nil, err
	}
	location, err := zoneOf(s.Definition)
	if err != nil {
		return nil, err
	}
	if s.EffectiveFrom.After(after) {
		after = s.EffectiveFrom
	}
	times := []time.Time{}
	for due, ok := s.Policy().Next(recurrence, after); ok && len(times) < n; due, ok = s.Policy().Next(recurrence, due) {
		times = append(times, due.In(location))
	}
	return times, nil
}
