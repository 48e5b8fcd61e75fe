package beat

import (
	"sync"
	"time"

	"github.com/tactus-dev/tactus/beat/memory"
	"github.com/tactus-dev/tactus/internal/slowclock"
)

// clock tells PostgreSQL's time between two answers of PostgreSQL: the last time that PostgreSQL reported plus the time
// that has passed since by this machine's monotonic clock. So steps of the local wall clock have no effect. When
// PostgreSQL's own clock steps, forward or back, clock follows it, since schedules are due by PostgreSQL's time.
type clock struct {
	mu     sync.Mutex
	server time.Time     // the time that PostgreSQL reported last
	heard  time.Time     // when its answer came, which is after it read its clock: server + elapsed is never early
	behind time.Duration // how far server + elapsed may be late: as long as the question and its answer took
	skew   time.Duration

	steady   slowclock.Clock
	trusting bool          // a jump ahead is believed at once: for tests, which set the clock
	doubted  time.Duration // how far PostgreSQL's clock is ahead of the time that is believed
}

// noStep is the difference up to which two clocks are not taken to have stepped.
const noStep = 100 * time.Millisecond

// anchor sets the clock to the time in an answer of PostgreSQL that has just come; asked is when the question was sent.
// It returns by how much PostgreSQL's clock has certainly stepped since the previous answer. Smaller differences are
// not steps, since they may come from the time that the two answers took.
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

// believes returns the latest time that it can be now, even if PostgreSQL's clock has jumped ahead. Statements that
// judge rows by their age compare with it, so that such a jump makes no row look old. It returns nil if nothing limits
// the time.
func (c *clock) believes() *time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.trusting {
		return nil
	}
	at := c.carried(localNow()).Add(-c.doubted + c.behind + noStep)
	return &at
}

// doubts reports whether PostgreSQL's clock has jumped ahead and its time is not believed yet.
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

// ahead returns how far the local wall clock was ahead of PostgreSQL's at the last anchor.
func (c *clock) ahead() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.skew
}

// anchorClock sets the clock to the time in an answer. A step of PostgreSQL's clock is logged at once, and taken into
// account at the end of the current step of the beat (applyClockStep).
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

// applyClockStep returns by how much PostgreSQL's clock has stepped during this step of the beat. If the clock went
// back, it moves back by as much the instants at which the beat is to act next; otherwise the beat would wait until the
// clock had reached them again. If the clock went forward, these instants are past, and the beat acts.
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
		clear(b.pauses.later) // whatever was put off is tried again
		clear(b.backfills.later)
		clear(b.spent.later)
		for id := range b.locks.pauses {
			b.memory.Retime(id)
		}
	}
	return step
}
