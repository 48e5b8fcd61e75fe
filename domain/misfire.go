package domain

import (
	"slices"
	"time"
)

// Missed is a range of due times that did not fire, both ends included.
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
)

// Settlement is what becomes of the due times in an interval: those that fire, in order, and those that are missed.
type Settlement struct {
	Fire   []time.Time
	Missed []Missed
}

// Settle decides about the due times in (after, now]. Up to Grace late a due time simply fires. What is older was
// missed: of it, within Window, the policy fires the latest, all (the newest MaxCatchUp), or none; the rest is
// recorded. Its work is bounded by MaxCatchUp and the number of due times within the grace.
//
// fireable bounds the due times within grace that one call answers; the rest is left for the next call, from the last
// one answered.
func (p Policy) Settle(r Recurrence, after, now time.Time, fireable int) Settlement {
	grace := now.Add(-time.Duration(p.Grace) * time.Second)
	s := p.settleMissed(r, after, grace, now)
	if grace.After(after) {
		after = grace.Add(-1) // exactly Grace late is not missed
	}
	for due, ok := p.Next(r, after); ok && !due.After(now) && len(s.Fire) < fireable; due, ok = p.Next(r, due) {
		s.Fire = append(s.Fire, due)
	}
	return s
}

// settleMissed decides about the due times in (after, grace).
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

// catchUp fires backwards from last, as many as the policy has, and records what is left of [first, last].
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
