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

// DefaultTakeover is how late a due time may be by a crash of the beat and the takeover by another one.
const DefaultTakeover = 15 * time.Second

// Settle decides what becomes of the due times in (after, now]. What is late by no more than a takeover fires one by
// one, whatever the policy says, so that no crash loses a due time. Of what is later, misfire policy all fires the
// newest MaxCatchUp. Under the other policies at most the last one fires: so that the schedule catches up once, it
// does so only if nothing later fires anyway, and if it is late by no more than Grace, or under misfire policy latest
// by no more than Window. The rest are recorded as missed. Grace says how late that one may be, and adds none:
//
//	after          now-Window    now-Grace    now-takeover       now
//	  | missed        | the last one at most      | each fires      |
//
// The work is bounded by MaxCatchUp and the number of due times within the takeover. One call returns at most fireable
// of these; the next call continues after the last of them.
//
// What is to be skipped does not fire, however late it is.
func (p Policy) Settle(r Recurrence, after, now time.Time, takeover time.Duration, fireable int) Settlement {
	skipped, after := p.settleSkipped(r, after, now)
	since := now.Add(-takeover)
	recent := after
	if since.After(after) {
		recent = since.Add(-1) // a due time exactly a takeover late is not later
	}
	due, ok := p.Next(r, recent)
	fires := ok && !due.After(now)
	s := p.settleOld(r, after, since, now, fires)
	s.Missed = append(skipped, s.Missed...)
	for ok && !due.After(now) && len(s.Fire) < fireable {
		s.Fire = append(s.Fire, due)
		due, ok = p.Next(r, due)
	}
	return s
}

// settleSkipped returns the range of due times in (after, now] that are skipped, and the instant from which the others
// count.
func (p Policy) settleSkipped(r Recurrence, after, now time.Time) (skipped []Missed, from time.Time) {
	if !p.Skip.After(after) {
		return nil, after
	}
	end := p.Skip
	if now.Before(end) {
		end = now
	}
	if first, last, ok := p.Range(r, after, end); ok {
		skipped = []Missed{{first, last, ReasonSkipped}}
	}
	return skipped, p.Skip
}

// settleOld decides what becomes of the due times in (after, since), where since is a takeover before now; followed
// tells whether a later due time fires.
func (p Policy) settleOld(r Recurrence, after, since, now time.Time, followed bool) Settlement {
	first, ok := p.Next(r, after)
	if !ok || !first.Before(since) {
		return Settlement{}
	}
	end := since
	if !p.EndsAt.IsZero() && p.EndsAt.Before(end) {
		end = p.EndsAt.Add(1)
	}
	last, _ := r.Prev(end)
	oldest, tooOld := p.oldest(now)
	superseded := ReasonSuperseded
	if p.Misfire == MisfireNone {
		superseded = ReasonPolicyNone
	}
	switch {
	case last.Before(oldest):
		return Settlement{Missed: []Missed{{first, last, tooOld}}}
	case p.Misfire == MisfireAll:
		return p.catchUp(r, first, last, oldest)
	case followed:
		return Settlement{Missed: []Missed{{first, last, superseded}}}
	}
	s := Settlement{Fire: []time.Time{last}}
	if earlier, ok := r.Prev(last); ok && !earlier.Before(first) {
		s.Missed = []Missed{{first, earlier, superseded}}
	}
	return s
}

// oldest returns since when a due time may still fire, and why an older one may not.
func (p Policy) oldest(now time.Time) (since time.Time, reason string) {
	if p.Misfire == MisfireNone {
		return now.Add(-time.Duration(p.Grace) * time.Second), ReasonPolicyNone
	}
	return now.Add(-time.Duration(max(p.Grace, p.Window)) * time.Second), ReasonBeyondWindow
}

// catchUp fires due times backwards from last, as many as MaxCatchUp and none before oldest, and records the rest of
// [first, last].
func (p Policy) catchUp(r Recurrence, first, last, oldest time.Time) (s Settlement) {
	due, more := last, true
	for len(s.Fire) < MaxCatchUp && more && !due.Before(first) && !due.Before(oldest) {
		s.Fire = append(s.Fire, due)
		due, more = r.Prev(due)
	}
	slices.Reverse(s.Fire)
	if !more || due.Before(first) {
		return s
	}
	reason := ReasonBeyondCatchUp
	if due.Before(oldest) {
		reason = ReasonBeyondWindow
	}
	s.Missed = []Missed{{first, due, reason}}
	return s
}
