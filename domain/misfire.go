package domain

import (
	"slices"
	"time"
)

// Missed is a range of due times that did not fire; both ends are inclusive.
type Missed struct {
	From, To time.Time
	Reason   string
}

// Reasons of a missed range.
const (
	ReasonPolicyNone    = "misfire policy none"
	ReasonSuperseded    = "misfire policy latest: a later due time fired"
	ReasonBeyondWindow  = "older than the misfire window"
	ReasonShadow        = "in shadow mode: another beat was in charge"
	ReasonBeyondCatchUp = "misfire policy all: more than 1,000 were missed"
	ReasonOvertaken     = "overtaken by a change"
)

// Settlement says what becomes of the due times in an interval: which fire, in order, and which are missed.
type Settlement struct {
	Fire   []time.Time
	Missed []Missed
}

// Settle decides what becomes of the due times in (after, now]. A due time up to Grace late fires. An older one was
// missed: of the missed ones within Window the policy fires the latest, all (the newest MaxCatchUp), or none, and the
// rest are recorded as missed. The work is bounded by MaxCatchUp and the number of due times within the grace period:
//
//	after            now-Window              now-Grace           now
//	  | missed           | missed; the policy   | fire             |
//	  |                  | may fire some        |                  |
//
// One call returns at most fireable due times within the grace period; the next call continues after the last of them.
func (p Policy) Settle(r Recurrence, after, now time.Time, fireable int) Settlement {
	grace := now.Add(-time.Duration(p.Grace) * time.Second)
	s := p.settleMissed(r, after, grace, now)
	if grace.After(after) {
		after = grace.Add(-1) // a due time exactly Grace late is not missed
	}
	for due, ok := p.Next(r, after); ok && !due.After(now) && len(s.Fire) < fireable; due, ok = p.Next(r, due) {
		s.Fire = append(s.Fire, due)
	}
	return s
}

// settleMissed decides what becomes of the due times in (after, grace).
func (p Policy) settleMissed(r Recurrence, after, grace, now time.Time) Settlement {
	var s Settlement
	first, ok := p.Next(r, after)
	if !ok || !first.Before(grace) {
		return s
	}
	end := grace
	if !p.EndsAt.IsZero() && p.EndsAt.Before(end) {
		end = p.EndsAt.Add(1)
	}
	last, _ := r.Prev(end)
	if p.Misfire == MisfireNone {
		s.Missed = []Missed{{first, last, ReasonPolicyNone}}
		return s
	}
	window := now.Add(-time.Duration(p.Window) * time.Second)
	if last.Before(window) {
		s.Missed = []Missed{{first, last, ReasonBeyondWindow}}
		return s
	}
	s.Fire, s.Missed = p.catchUp(r, first, last, window)
	return s
}

// catchUp fires due times backwards from last, as many as the policy allows, and records the rest of [first, last].
func (p Policy) catchUp(r Recurrence, first, last, window time.Time) (fire []time.Time, missed []Missed) {
	most, reason := 1, ReasonSuperseded
	if p.Misfire == MisfireAll {
		most, reason = MaxCatchUp, ReasonBeyondCatchUp
	}
	due := last
	for len(fire) < most && !due.Before(first) && !due.Before(window) {
		fire = append(fire, due)
		earlier, ok := r.Prev(due)
		if !ok {
			break
		}
		due = earlier
	}
	slices.Reverse(fire)
	if due.Before(first) || due.Equal(fire[0]) {
		return fire, nil
	}
	if due.Before(window) {
		reason = ReasonBeyondWindow
	}
	return fire, []Missed{{first, due, reason}}
}
