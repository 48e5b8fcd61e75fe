package results

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/tactus-dev/tactus/internal/wait"
)

// The pauses between two attempts.
const (
	firstWait = 200 * time.Millisecond
	lastWait  = 15 * time.Second
)

// outage waits between attempts at something that fails, with growing pauses, and logs when the failures begin and end.
type outage struct {
	log   *slog.Logger
	what  string // the attempt, for the log: "cannot ..."
	since time.Time
	next  time.Duration
}

// wait logs the first failure, and waits.
func (o *outage) wait(ctx context.Context, err error) {
	if o.since.IsZero() {
		o.since, o.next = time.Now(), firstWait
		o.log.Warn("cannot "+o.what+"; retrying", "err", err)
	}
	_ = wait.For(ctx, o.next/2+rand.N(o.next)) // or until ctx ends, which the caller sees
	o.next = min(2*o.next, lastWait)
}

// over logs that the attempts succeed again.
func (o *outage) over() {
	if !o.since.IsZero() {
		o.log.Info("can "+o.what+" again", "after", time.Since(o.since).Round(time.Millisecond))
	}
	o.since = time.Time{}
}
