package domain

import (
	"errors"
	"time"
	"unicode/utf8"

	"github.com/tactus-dev/tactus/domain/rrule"
)

// parseRRule tells every fault of a recurrence, and takes its zone out of it.
func (n *normalizer) parseRRule() {
	if n.RRule == "" || utf8.RuneCountInString(n.RRule) > maxRRule { // which texts has told
		return
	}
	rule, err := rrule.Parse(n.RRule)
	if err != nil {
		faults, _ := errors.AsType[rrule.Errors](err)
		for _, e := range faults {
			n.faults.add(e.Code, "/rrule", "%s", error(e))
		}
		return
	}
	if named := rule.Zone(); named != "" {
		if n.Timezone != "" && n.Timezone != named {
			n.faults.add("trigger_ambiguous", "/timezone", "the recurrence says %s, timezone says %s: give one of them",
				named, n.Timezone)
		}
		n.Timezone = named
	}
}

// canonicalRRule has a DTSTART: that of the same rule so far, because saying it again does not move it, else starts_at
// or now.
func (n *normalizer) canonicalRRule(location *time.Location) string {
	rule, err := rrule.Parse(n.RRule)
	if err != nil || rule.HasStart() {
		return rrule.Canonical(n.RRule, time.Time{})
	}
	start := rule.StartAt(n.context.Now, location)
	if starts := instant(n.StartsAt); !starts.IsZero() {
		start = starts.In(location)
	}
	canonical := rrule.Canonical(n.RRule, start)
	if p := n.context.Previous; p != nil && p.RRule != "" &&
		rrule.WithoutStart(p.RRule) == rrule.WithoutStart(canonical) {
		return p.RRule
	}
	return canonical
}
