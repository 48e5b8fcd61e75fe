package domain

import (
	"fmt"
	"slices"
	"time"

	"github.com/tactus-dev/tactus/domain/calendar"
	"github.com/tactus-dev/tactus/domain/cron"
	"github.com/tactus-dev/tactus/domain/zone"
)

// CalendarRule says which calendars decide on due times, and how. Names of calendars need no escapes in JSON.
type CalendarRule struct {
	Exclude    []string `json:"exclude,omitempty"`
	Only       []string `json:"only,omitempty"`
	OnExcluded string   `json:"on_excluded"`
	Timezone   string   `json:"timezone"`
	Gap        string   `json:"dst_gap"`
	Repeated   string   `json:"dst_overlap"`
}

// CalendarSets are compiled calendars, by their names.
type CalendarSets map[string]*calendar.Set

// MaxCalendars is how many calendars a schedule may name.
const MaxCalendars = 10

// ReasonExcluded begins the reason of due times that calendars have skipped.
const ReasonExcluded = "excluded by calendars"

// calendarRule returns the rule of a normalized definition; nil when it names no calendar.
func (d Definition) calendarRule() *CalendarRule {
	if len(d.ExcludeCalendars)+len(d.OnlyCalendars) == 0 {
		return nil
	}
	return &CalendarRule{d.ExcludeCalendars, d.OnlyCalendars, d.OnExcluded, d.Timezone, d.DSTGap, d.DSTOverlap}
}

// Calendars returns the names of the calendars of a definition, and the member that has them.
func (d Definition) Calendars() (member string, names []string) {
	if len(d.OnlyCalendars) > 0 {
		return "only_calendars", d.OnlyCalendars
	}
	return "exclude_calendars", d.ExcludeCalendars
}

// String is for comparisons.
func (r *CalendarRule) String() string {
	if r == nil {
		return ""
	}
	return fmt.Sprint(*r)
}

// Names returns the calendars that a rule names; those of no rule are none.
func (r *CalendarRule) Names() []string {
	if r == nil {
		return nil
	}
	return slices.Concat(r.Exclude, r.Only)
}

// Skips reports whether excluded due times are recorded, and do not move.
func (r *CalendarRule) Skips() bool { return r != nil && r.OnExcluded == calendar.Skip }

// Filter compiles a rule. It is an error if a set is not known.
func (r *CalendarRule) Filter(sets CalendarSets) (*calendar.Filter, error) {
	location, err := zone.Load(r.Timezone)
	if err != nil {
		return nil, err
	}
	f := &calendar.Filter{
		Only: len(r.Only) > 0, On: r.OnExcluded, Location: location, Gap: cron.GapPolicy(r.Gap), Overlap: cron.OverlapPolicy(r.Repeated),
	}
	for _, name := range r.Names() {
		set := sets[name]
		if set == nil {
			return nil, &Error{Kind: Invalid, Code: CodeCalendarUnknown, Message: "there is no calendar " + name}
		}
		f.Sets = append(f.Sets, set)
	}
	return f, nil
}

// CodeCalendarUnknown is the code of a calendar that there is none of.
const CodeCalendarUnknown = "calendar_unknown"

// Moved returns due times where calendars have moved them; a rule that skips moves none.
func (r *CalendarRule) Moved(recurrence Recurrence, sets CalendarSets) (Recurrence, error) {
	if r == nil || r.Skips() {
		return recurrence, nil
	}
	return r.Left(recurrence, sets)
}

// Left returns the due times that calendars leave.
func (r *CalendarRule) Left(recurrence Recurrence, sets CalendarSets) (Recurrence, error) {
	if r == nil {
		return recurrence, nil
	}
	f, err := r.Filter(sets)
	if err != nil {
		return nil, err
	}
	return f.Apply(recurrence), nil
}

// SettleSkipping decides what becomes of the due times in (after, now], as Settle does, when calendars exclude some of
// them: those do not fire, whatever the policy says. Each stretch of them between two that are settled is one range.
func (p Policy) SettleSkipping(
	r Recurrence, f *calendar.Filter, after, now time.Time, takeover time.Duration, fireable int,
) Settlement {
	s := p.Settle(f.Apply(r), after, now, takeover, fireable)
	type settled struct{ from, to time.Time }
	var all []settled
	for _, m := range s.Missed {
		all = append(all, settled{m.From, m.To})
	}
	for _, due := range s.Fire {
		all = append(all, settled{due, due})
	}
	slices.SortFunc(all, func(a, b settled) int { return a.from.Compare(b.from) })
	since := after
	for _, next := range all {
		s.exclude(p, r, f, since, next.from)
		since = next.to
	}
	if len(s.Fire) < fireable {
		s.exclude(p, r, f, since, now.Add(1))
	}
	slices.SortFunc(s.Missed, func(a, b Missed) int { return a.From.Compare(b.From) })
	return s
}

// exclude records the due times between two instants, all of which calendars exclude.
func (s *Settlement) exclude(p Policy, r Recurrence, f *calendar.Filter, after, before time.Time) {
	first, last, ok := p.Range(r, after, before.Add(-1))
	if !ok {
		return
	}
	reason := ReasonExcluded
	if why, _ := f.Excluded(first); why != "" {
		reason += ": " + why
	}
	s.Missed = append(s.Missed, Missed{first, last, reason})
}

// calendars checks which calendars are named, and what is to become of what they exclude.
func (n *normalizer) calendars() {
	if len(n.ExcludeCalendars) > 0 && len(n.OnlyCalendars) > 0 {
		n.faults.add("calendar_ambiguous", "/only_calendars", "a schedule has exclude_calendars or only_calendars, not both: give one of them")
	}
	n.ExcludeCalendars = n.calendarNames("exclude_calendars", n.ExcludeCalendars)
	n.OnlyCalendars = n.calendarNames("only_calendars", n.OnlyCalendars)
	if n.calendarRule() != nil {
		n.choose("on_excluded", &n.OnExcluded, calendar.Choices...)
		return
	}
	if n.OnExcluded != "" && slices.Contains(calendar.Choices, n.OnExcluded) {
		n.faults.add("calendar_missing", "/on_excluded", "nothing is excluded without calendars: give exclude_calendars or only_calendars, or leave it out")
	} else if n.OnExcluded != "" {
		n.choose("on_excluded", &n.OnExcluded, calendar.Choices...)
	}
}

// calendarNames returns names in order, each once.
func (n *normalizer) calendarNames(member string, names []string) []string {
	if len(names) > MaxCalendars {
		n.faults.add("out_of_range", "/"+member, "%d calendars: at most %d", len(names), MaxCalendars)
	}
	for i, name := range names[:min(len(names), MaxFaults)] {
		if !calendarName.MatchString(name) {
			n.faults.add("calendar_name_invalid", fmt.Sprintf("/%s/%d", member, i), "%q: %s", name, calendarNameWanted)
		}
	}
	if len(names) == 0 {
		return nil
	}
	return slices.Compact(slices.Sorted(slices.Values(names)))
}
