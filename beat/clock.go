package beat

import (
	"sync"
	"time"

	"github.com/tactus-dev/tactus/beat/memory"
)

// clock is Postgres' clock, carried on by this machine's monotonic one: steps of the local wall clock change nothing.
// When Postgres' own clock steps, it is followed, forwards and backwards: what is due is due by it.
type clock struct {
	mu     sync.Mutex
	server time.Time     // what Postgres said
	heard  time.Time     // when its answer came; it was asked before, so server + elapsed is never early
	behind time.Duration // how far that may be behind, at most: the answer was so long on its way
	skew   time.Duration
}

// noStep is what clocks may differ by for other reasons than a step.
const noStep = 100 * time.Millisecond

// anchor takes Postgres' time from an answer that has just come, and tells by how much its clock has stepped since the
// last one, for certain: the time that the answers were on their way explains the rest.
func (c *clock) anchor(asked, server time.Time) (step time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	heard := localNow()
	took := heard.Sub(asked)
	if !c.heard.IsZero() {
		switch ahead := server.Sub(c.carried(heard)); {
		case ahead > c.behind+noStep:
			step = ahead - c.behind
		case ahead < -took-noStep:
			step = ahead + took
		}
	}
	c.server, c.heard, c.behind = server, heard, took
	c.skew = heard.Round(0).Sub(server)
	return step
}

func (c *clock) carried(to time.Time) time.Time { return c.server.Add(to.Sub(c.heard)) }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.carried(localNow())
}

// ahead is how far the local wall clock is before Postgres', at the last anchor.
func (c *clock) ahead() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.skew
}

// anchor takes the time from an answer. A step of Postgres' clock is told, and heeded at the end of the beat's own
// step.
func (b *Beat) anchorClock(asked, server time.Time) {
	step := b.clock.anchor(asked, server)
	if step == 0 {
		return
	}
	b.log.Warn("the clock of Postgres stepped: what is due follows it", "by", step, "now", server)
	b.stats.countStep(step)
	b.clockStep += step.Microseconds()
}

// heedStep moves what was to be done at some time with a clock that went back, so that it is done when it would have
// been, and tells by how much. When the clock went forward it is done at once.
func (b *Beat) applyClockStep() memory.Micros {
	step := b.clockStep
	b.clockStep = 0
	if step < 0 {
		b.lease.askAt, b.polls.at, b.syncs.notBefore, b.resync.notBefore = b.lease.askAt+step, b.polls.at+step, b.syncs.notBefore+step, b.resync.notBefore+step
	}
	return step
}
