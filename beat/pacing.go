package beat

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/tactus-dev/tactus/beat/memory"
	"github.com/tactus-dev/tactus/internal/postgres"
)

// maxFiringSize is how many due times of light tasks one statement settles, at most. Each of them is reckoned as 1 KiB.
// Of heavier tasks, one statement settles what weighs maxFiringWeight together, in KiB, or one due time.
const maxFiringSize, maxFiringWeight = 5000, 2048

// fireTimeout is how long one firing may take. A firing that takes longer is cancelled, its work is lost, and the next
// one is smaller. A lease that was renewed before it still lasts afterwards, so that it stays where it is.
const fireTimeout = leaseTime / 2

// A firing that took longer than slowFiring is followed by smaller ones, one that took less than quickFiring by larger
// ones.
const (
	slowFiring  = 2 * time.Second
	quickFiring = slowFiring / 4
)

// pacing adapts the size of the firings of a tier to how long they take: how much they weigh together. What a due time
// costs is not known beforehand: its route may add to it, or the database may be slow. If all firings had one size, a
// statement that takes longer than its time limit would be sent again, the same and in vain, for ever, and nothing else
// would fire.
type pacing struct {
	most      int // KiB; maxFiringSize when 0
	reduction int // how often that is halved
}

// paces are those of all tiers.
func newPaces() (all [memory.Tiers]pacing) {
	for t := memory.Light + 1; t < memory.Tiers; t++ {
		all[t].most = maxFiringWeight
	}
	return all
}

// size is what the next firing weighs, at most; at least 1. A single due time may weigh more.
func (p *pacing) size() int { return max(1, cmp.Or(p.most, maxFiringSize)>>p.reduction) }

// took takes in how long a firing took whose due times weigh n.
func (p *pacing) took(n int, d time.Duration) {
	switch {
	case d > slowFiring && n > 1:
		p.reduceBelow(n, 1)
	case d < quickFiring && p.reduction > 0:
		p.reduction--
	}
}

// failed takes in that a firing that weighs n was given up, if that was for its time. Each failure costs the whole
// limit, so the next firing is an eighth of this one.
func (p *pacing) failed(n int, err error) {
	if n > 1 && timedOut(err) {
		p.reduceBelow(n, 3)
	}
}

// reduceBelow makes the size that of n halved so many times.
func (p *pacing) reduceBelow(n, times int) {
	for p.size() > max(1, n>>times) {
		p.reduction++
	}
}

// timedOut reports whether a statement took longer than it may, by the limit of this beat or by PostgreSQL's.
func timedOut(err error) bool {
	return postgres.Canceled(err) || errors.Is(err, context.DeadlineExceeded) || pgconn.Timeout(err)
}
