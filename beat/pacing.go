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

// One statement settles at most maxFiringSize due times of light tasks, each of which counts as 1 KiB. Of heavier tasks
// it settles at most maxFiringWeight KiB, or a single due time of more.
const maxFiringSize, maxFiringWeight = 5000, 2048

// fireTimeout is how long one firing may take. A firing that takes longer is cancelled, its work is lost, and the next
// one is smaller. It is short enough that a lease which was renewed just before the firing does not run out during it.
const fireTimeout = leaseTime / 2

// After a firing that took longer than slowFiring, the next one is smaller; after one that took less than quickFiring,
// the next one is larger.
const (
	slowFiring  = 2 * time.Second
	quickFiring = slowFiring / 4
)

// pacing adapts the size of a tier's firings, which is their weight, to how long they take. The cost of a due time is
// not known beforehand: its route may add to the task, or the database may be slow. If the size were fixed, a statement
// that exceeds its time limit would be repeated with the same due times for ever, and nothing else would fire.
type pacing struct {
	most      int // KiB; maxFiringSize when 0
	reduction int // how often most is halved
}

// newPaces returns the pacing of each tier.
func newPaces() (all [memory.Tiers]pacing) {
	for t := memory.Light + 1; t < memory.Tiers; t++ {
		all[t].most = maxFiringWeight
	}
	return all
}

// size returns the greatest weight of the next firing, which is at least 1. A single due time may weigh more.
func (p *pacing) size() int { return max(1, cmp.Or(p.most, maxFiringSize)>>p.reduction) }

// took adapts the size to how long a firing of the weight n took.
func (p *pacing) took(n int, d time.Duration) {
	switch {
	case d > slowFiring && n > 1:
		p.reduceBelow(n, 1)
	case d < quickFiring && p.reduction > 0:
		p.reduction--
	}
}

// failed reduces the size after a firing of the weight n that took too long. Each such failure costs the whole time
// limit, so the next firing has an eighth of the weight.
func (p *pacing) failed(n int, err error) {
	if n > 1 && timedOut(err) {
		p.reduceBelow(n, 3)
	}
}

// reduceBelow halves the size until it is at most n halved that many times.
func (p *pacing) reduceBelow(n, times int) {
	for p.size() > max(1, n>>times) {
		p.reduction++
	}
}

// timedOut reports whether a statement was given up because it exceeded a time limit, either this beat's or
// PostgreSQL's.
func timedOut(err error) bool {
	return postgres.Canceled(err) || errors.Is(err, context.DeadlineExceeded) || pgconn.Timeout(err)
}
