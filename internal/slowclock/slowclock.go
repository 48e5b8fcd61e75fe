// Package slowclock tells the time for what is judged by its age: what is about to be forgotten, and what has been
// silent for too long.
package slowclock

import (
	"sync"
	"time"
)

// Clock is PostgreSQL's clock, unless that has jumped ahead: then it goes on as it did before, by the monotonic clock,
// until PostgreSQL's has gone evenly for an hour. At first PostgreSQL's clock is believed if it is not ahead of the
// host's. The zero Clock is ready.
//
//	PostgreSQL's   12:00   13:00 (ahead)   12:01        or, an hour later, still ahead:   14:00
//	the Clock      12:00   12:00:30        12:01                                          14:00
type Clock struct {
	mu       sync.Mutex
	believed time.Time
	since    time.Time // when it was, with the monotonic reading
	heard    time.Time // what PostgreSQL's clock said last
	heardAt  time.Time
	evenly   time.Time // since when PostgreSQL's clock goes evenly
}

const (
	noJump = 10 * time.Second // what readings may differ by that were long on their way
	proves = time.Hour        // a clock that goes evenly for so long is right
)

// Now returns the time for what is forgotten for good: the earliest of what the Clock says, what PostgreSQL's clock
// says and what the host's says, which has a monotonic reading.
func (c *Clock) Now(postgres, host time.Time) time.Time {
	return earlier(c.Believed(postgres, host), host.Round(0))
}

// Believed returns the time for what can be mended. A host's clock that is behind does not matter to it for longer than
// an hour.
func (c *Clock) Believed(postgres, host time.Time) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.since.IsZero() {
		c.believed, c.since, c.evenly = postgres, host, host
		if postgres.Sub(host) > noJump {
			c.believed = host.Round(0)
		}
	} else if jumped := postgres.Sub(c.heard.Add(host.Sub(c.heardAt))); jumped.Abs() > noJump {
		c.evenly = host
	}
	c.heard, c.heardAt = postgres, host
	carried := c.believed.Add(host.Sub(c.since))
	if postgres.Sub(carried) > noJump && host.Sub(c.evenly) < proves {
		return carried
	}
	c.believed, c.since = postgres, host
	return postgres
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
