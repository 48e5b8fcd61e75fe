package results

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"time"
)

// How long is waited between two attempts.
const (
	firstWait = 200 * time.Millisecond
	lastWait  = 15 * time.Second
)

// outage waits out what does not work, ever longer, and tells when that begins and ends.
type outage struct {
	log   *slog.Logger
	what  string
	since time.Time
	next  time.Duration
}

// wait tells of the first failure, and waits.
func (o *outage) wait(ctx context.Context, err error) {
	if o.since.IsZero() {
		o.since, o.next = time.Now(), firstWait
		o.log.Warn("cannot "+o.what+", trying again", "err", err)
	}
	pause(ctx, o.next/2+rand.N(o.next))
	o.next = min(2*o.next, lastWait)
}

// over tells that it works again.
func (o *outage) over() {
	if !o.since.IsZero() {
		o.log.Info("can "+o.what+" again", "after", time.Since(o.since).Round(time.Millisecond))
	}
	o.since = time.Time{}
}
