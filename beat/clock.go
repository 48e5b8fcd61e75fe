package beat

import (
	"sync"
	"time"
)

// clock is Postgres' clock, carried on by this machine's monotonic one: steps of the local wall clock change nothing.
type clock struct {
	mu     sync.Mutex
	server time.Time // what Postgres said
	heard  time.Time // when its answer came; it was asked before, so server + elapsed is never early
	last   time.Time // now never goes back, whatever Postgres says
	skew   time.Duration
}

// anchor takes Postgres' time from an answer that has just come.
func (c *clock) anchor(server time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.server, c.heard = server, localNow()
	c.skew = c.heard.Round(0).Sub(server)
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := c.server.Add(localNow().Sub(c.heard)); now.After(c.last) {
		c.last = now
	}
	return c.last
}

// ahead is how far the local wall clock is before Postgres', at the last anchor.
func (c *clock) ahead() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.skew
}
