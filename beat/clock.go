package beat

import (
	"sync"
	"time"

	"github.com/tactus-dev/tactus/beat/memory"
	"github.com/tactus-dev/tactus/internal/slowclock"
)

// clock is PostgreSQL's clock, carried on by this machine's monotonic one. Steps of the local wall clock change
// nothing. When PostgreSQL's own clock steps, the clock follows it, forwards and back, since what is due is due by
// PostgreSQL's time.
type clock struct {
	mu     sync.Mutex
	server time.Time     // what PostgreSQL said
	heard  time.Time     // when its answer came; it was asked before, so server + elapsed is never early
	behind time.Duration // how far that may be behind, at most: the answer was so long on its way
	skew   time.Duration

	steady   slowclock.Clock
	trusting bool          // what PostgreSQL says is believed at once: for tests, which set the clock
	doubted  time.Duration // how far PostgreSQL is ahead of what is believed
}

// noStep is what clocks may differ by for other reasons than a step.
const noStep = 100 * time.Millisecond

// anchor takes PostgreSQL's time from an answer that has just come. It returns by how much PostgreSQL's clock has
// certainly stepped since the answer before: any smaller difference may be the time that the two answers were on
// their way.
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
	if !c.trusting {
		c.doubted = max(0, server.Sub(c.steady.Believed(server, heard)))
	}
	return step
}

// believes returns what time it is at most, whatever PostgreSQL's clock says meanwhile, for what is judged by its age;
// nil when nothing limits that.
func (c *clock) believes() *time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.trusting {
		return nil
	}
	at := c.carried(localNow()).Add(-c.doubted + c.behind + noStep)
	return &at
}

// doubts reports whether PostgreSQL's clock has jumped ahead, and is not believed yet.
func (c *clock) doubts() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.doubted > 0
}

// carried returns PostgreSQL's time at an instant of the monotonic clock.
func (c *clock) carried(to time.Time) time.Time { return c.server.Add(to.Sub(c.heard)) }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.carried(localNow())
}

// ahead returns how far the local wall clock is ahead of Postgres', at the last anchor.
func (c *clock) ahead() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.skew
}

// anchorClock takes the time from an answer. A step of PostgreSQL's clock is logged now, and applied at the end of
// the beat's own step (applyClockStep).
func (b *Beat) anchorClock(asked, server time.Time) {
	step := b.clock.anchor(asked, server)
	if step == 0 {
		return
	}
	b.log.Warn("the clock of Postgres stepped: what is due follows it", "by", step, "now", server)
	b.stats.countStep(step)
	b.clockStep += step.Microseconds()
	if step < 0 {
		b.withdrawal = withdrawal{wanted: true, rewind: true}
	}
}

// applyClockStep moves the times at which something is to be done with a clock that went back, so that they come when
// they would have, and returns by how much the clock stepped. When the clock went forward the times have come.
func (b *Beat) applyClockStep() memory.Micros {
	step := b.clockStep
	b.clockStep = 0
	if step < 0 {
		b.lease.askAt += step
		b.polls.at += step
		b.syncs.notBefore += step
		b.resync.notBefore += step
		b.resync.pausedUntil += step
		b.lease.locked.fireAt += step
		b.invalid.notBefore += step
		b.spent.notBefore, b.spent.sweepAt = b.spent.notBefore+step, b.spent.sweepAt+step
		b.pauses.at, b.backfills.at = memory.Always, memory.Always
		clear(b.pauses.later) // what was left alone for a while is tried again
		clear(b.backfills.later)
		clear(b.spent.later)
		for id := range b.locks.pauses {
			b.memory.Retime(id)
		}
	}
	return step
}
