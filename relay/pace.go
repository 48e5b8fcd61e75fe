package relay

import "time"

// pace is when to look at the log again after nothing new was found: soon after traffic, rarely at rest. A bell may be
// rung for one commit only while others follow it, and callers' own transactions need not ring at all.
type pace struct {
	step    int       // how many of the steps have been taken since traffic
	traffic time.Time // when there was any
}

var steps = []time.Duration{2, 5, 10, 25, 50} // milliseconds

const (
	lively = 25 * time.Millisecond
	rest   = 100 * time.Millisecond
	// wakeful is for how long after traffic it is lively.
	wakeful = time.Second
)

// stir begins anew: rows were found, or the bell was rung.
func (p *pace) stir(now time.Time) { p.step, p.traffic = 0, now }

// next is how long to wait.
func (p *pace) next(now time.Time) time.Duration {
	if p.step < len(steps) {
		p.step++
		return steps[p.step-1] * time.Millisecond
	}
	if now.Sub(p.traffic) < wakeful {
		return lively
	}
	return rest
}
