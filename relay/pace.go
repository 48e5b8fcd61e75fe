package relay

import "time"

// pace says when to look at the log again after nothing new was found: soon while there is traffic, rarely at rest. The
// bell does not make it superfluous, because one ring may stand for several commits, and transactions of callers need
// not ring.
type pace struct {
	step    int       // how many of the steps were taken since the last traffic
	traffic time.Time // when there last was traffic
}

var steps = []time.Duration{2, 5, 10, 25, 50} // milliseconds

const (
	lively = 25 * time.Millisecond
	rest   = 100 * time.Millisecond
	// wakeful is for how long after traffic looks stay frequent.
	wakeful = time.Second
)

// stir makes looks frequent again, because rows were found or the bell was rung.
func (p *pace) stir(now time.Time) { p.step, p.traffic = 0, now }

// next returns how long to wait before the next look.
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
