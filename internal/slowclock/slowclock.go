// Package slowclock tells the time for what is about to be forgotten, by the slowest of several clocks.
package slowclock

import (
	"sync"
	"time"
)

// Clock returns the earliest of what PostgreSQL's clock says, what this host's says, and what the earlier of both said
// first, carried forward by the monotonic clock. A clock that is far ahead for a while has nothing dropped: wherever
// the clocks disagree, things are kept for longer. The zero Clock is ready.
type Clock struct {
	mu    sync.Mutex
	first time.Time // the earlier of both
	since time.Time // with the monotonic reading
}

// Now returns the time, of what PostgreSQL and the host say it is. The host's has a monotonic reading.
func (c *Clock) Now(postgres, host time.Time) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := earlier(postgres, host.Round(0))
	if c.first.IsZero() {
		c.first, c.since = now, host
	}
	return earlier(now, c.first.Add(host.Sub(c.since)))
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
