package domain

import (
	"slices"
	"time"

	"github.com/tactus-dev/tactus/domain/calendar"
	"github.com/tactus-dev/tactus/domain/cron"
)

// MaxPreview is how many due times a preview answers at most.
const MaxPreview = cron.MaxPreview

// Preview is what a schedule would do.
type Preview struct {
	DueTimes    []time.Time `json:"due_times" doc:"In the schedule's zone, strictly rising."`
	FiresAt     []time.Time `json:"fires_at,omitempty" doc:"When each of the due times fires, if jitter_seconds or spread_seconds delay it. It follows from the schedule's id, so a definition without one has none."`
	Description string      `json:"description" doc:"When it is due, in words."`
	Marks       []Mark      `json:"marks" doc:"Where a change of the clocks moves, skips or repeats a due time."`
	Warnings    []Warning   `json:"warnings"`
}

// Mark says what a change of the clocks does, or a calendar. At is the due time that is moved, repeated, excluded or
// shifted (by a calendar, to another day), or the end of the gap in which something is skipped.
type Mark struct {
	At   time.Time `json:"at"`
	Mark string    `json:"mark" enum:"moved,skipped,repeated,excluded,shifted"`
	Wall string    `json:"wall,omitempty" doc:"The local time that the clocks skip, when moved or skipped; the one from which calendars have shifted it."`
	Copy int       `json:"copy,omitempty" doc:"Which of the two showings it is, when repeated."`
	// Reason is what the calendar says of the day.
	Reason string `json:"reason,omitempty" doc:"Why calendars exclude it."`
}

// Ask is what is asked of a preview: the next N due times after an instant, told in a language ("en" unless given).
type Ask struct {
	After    time.Time
	N        int // 1 to MaxPreview
	Language string
	Done     int64        // of max_runs, since the trigger was set
	Sets     CalendarSets // for a definition that names calendars
}

func (a Ask) check() error {
	var faults Faults
	if a.N < 1 || a.N > MaxPreview {
		faults.add("out_of_range", "/n", "%d: want 1 to %d", a.N, MaxPreview)
	}
	if !inYears(a.After) {
		faults.add("out_of_range", "/after", "%s: want a time of the years %d to %d", a.After.Format(time.RFC3339),
			minYear, maxYear)
	}
	if a.Language != "" && !slices.Contains(cron.Languages, cron.Language(a.Language)) {
		faults.add("choice_invalid", "/language", "%q: want one of %v", a.Language, cron.Languages)
	}
	return faults.err()
}

// Preview answers for a definition that is not stored; what to run need not be said. timezone is for a definition that
// names none. An interval without an anchor counts from the instant that is asked after.
func (d Definition) Preview(ask Ask, timezone string) (Preview, error) {
	if d.TaskName == "" {
		d.TaskName = "preview"
	}
	asked, now := ask.check(), ask.After
	if !inYears(now) {
		now = time.Unix(0, 0) // the question is refused: nothing of the definition is past for it
	}
	// what the schedule may have had before is not known
	d, warnings, err := d.Normalize(Context{Timezone: timezone, Now: now, Kept: &d})
	if err := Join(asked, err); err != nil {
		return Preview{}, err
	}
	// among these warnings is what only the expression as it is typed shows
	return Schedule{Definition: d, Sets: ask.Sets}.preview(ask, warnings)
}

// Preview answers for a schedule, whether it is enabled or not. Of max_runs, those that are done are behind it.
func (s Schedule) Preview(ask Ask) (Preview, error) {
	if err := ask.check(); err != nil {
		return Preview{}, err
	}
	return s.preview(ask, s.Definition.Warnings())
}

func (s Schedule) preview(ask Ask, warnings []Warning) (Preview, error) {
	recurrence, err := s.firing()
	if err != nil {
		return Preview{}, err
	}
	p := Preview{
		DueTimes: []time.Time{}, Description: s.Describe(ask.Language), Marks: []Mark{},
		Warnings: append([]Warning{}, warnings...),
	}
	n := ask.N
	if s.MaxRuns > 0 {
		n = int(min(max(s.MaxRuns-ask.Done, 0), int64(n)))
	}
	location, err := zoneOf(s.Definition)
	if err != nil {
		return Preview{}, err
	}
	for _, due := range s.entries(recurrence, latest(latest(ask.After, s.EffectiveFrom), s.SkipUntil), n) {
		at := local(due.At, location)
		if due.Mark != "" {
			p.Marks = append(p.Marks, Mark{At: at, Mark: due.Mark, Wall: due.Wall, Copy: due.Copy})
		}
		if due.IsDue() {
			p.DueTimes = append(p.DueTimes, at)
		}
	}
	if err := s.delayed(&p, location); err != nil {
		return Preview{}, err
	}
	if len(p.DueTimes) == 0 && n > 0 {
		p.Warnings = append(p.Warnings, s.NeverAllowed(ask.After)...)
	}
	if s.Sets != nil && s.calendarRule() != nil {
		p.Marks, err = s.excluded(recurrence, latest(ask.After, s.EffectiveFrom), p.DueTimes)
	}
	return p, err
}

// delayed adds when the due times fire.
func (s Schedule) delayed(p *Preview, location *time.Location) error {
	policy := s.Policy()
	if s.ID.IsZero() || policy.Delay() == 0 {
		return nil
	}
	recurrence, err := s.Recurrence() // what calendars skip is a due time to the beat
	if err != nil {
		return err
	}
	for _, due := range p.DueTimes {
		p.FiresAt = append(p.FiresAt, local(policy.FireAt(s.ID, recurrence, due), location))
	}
	return nil
}

// excluded marks what calendars exclude up to the last of some due times, and which of those have moved.
func (s Schedule) excluded(left Recurrence, after time.Time, due []time.Time) (marks []Mark, err error) {
	marks = []Mark{}
	filter, err := s.calendarRule().Filter(s.Sets)
	if err != nil || len(due) == 0 {
		return marks, err
	}
	trigger, anchor := s.Trigger()
	nominal, err := trigger.Recurrence(anchor)
	if err != nil {
		return marks, err
	}
	policy, last := s.Policy(), due[len(due)-1]
	for at, ok := policy.Next(nominal, after); ok && !at.After(last) && len(marks) < MaxPreview; at, ok = policy.Next(nominal, at) {
		if reason, excluded := filter.Excluded(at); excluded {
			marks = append(marks, Mark{At: local(at, filter.Location), Mark: "excluded", Reason: reason})
		}
	}
	for _, at := range due {
		if from, moved := calendar.Source(left, at); moved {
			reason, _ := filter.Excluded(from)
			marks = append(marks, Mark{
				At: at, Mark: "shifted", Wall: from.In(filter.Location).Format("2006-01-02T15:04:05"), Reason: reason,
			})
		}
	}
	slices.SortStableFunc(marks, func(a, b Mark) int { return a.At.Compare(b.At) })
	return marks, nil
}

// entries are the next n due times that the policy allows; those of cron with marks.
func (s Schedule) entries(r Recurrence, after time.Time, n int) (entries []cron.Due) {
	policy := s.Policy()
	if schedule, ok := r.(cron.Schedule); ok {
		entries = cron.Preview(schedule, policy.from(after), n)
		return slices.DeleteFunc(entries, func(d cron.Due) bool { return !policy.allows(d.At) || d.At.After(lastInstant) })
	}
	for due, ok := policy.Next(r, after); ok && len(entries) < n; due, ok = policy.Next(r, due) {
		entries = append(entries, cron.Due{At: due})
	}
	return entries
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// local shows t in a zone; in UTC where the zone's offset has seconds (Liberia until 1972), which RFC 3339 cannot say.
func local(t time.Time, location *time.Location) time.Time {
	t = t.In(location)
	if _, offset := t.Zone(); offset%60 != 0 {
		return t.UTC()
	}
	return t
}
