package beat

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/tactus-dev/tactus/internal/postgres"
)

// maxFiringSize is how many due times one statement settles, at most.
const maxFiringSize = 5000

// fireTimeout is how long one firing may take. A firing that takes longer is cancelled, its work is lost, and the next
// one is smaller.
const fireTimeout = 10 * time.Second

// A firing that took longer than slowFiring is followed by smaller ones, one that took less than quickFiring by larger
// ones.
const (
	slowFiring  = 2 * time.Second
	quickFiring = slowFiring / 4
)

// pacing adapts the size of firings to how long they take. What a due time costs is not known beforehand: its task may
// have a quarter of a megabyte, or the database may be slow. If all firings had one size, a statement that takes longer
// than its time limit would be sent again, the same and in vain, for ever, and nothing else would fire.
type pacing struct{ reduction int } // how often the largest size is halved

// size is how many due times the next firing has, at most; at least one.
func (p *pacing) size() int { return max(1, maxFiringSize>>p.reduction) }

// took takes in how long a firing of n due times took.
func (p *pacing) took(n int, d time.Duration) {
	switch {
	case d > slowFiring && n > 1:
		p.reduceBelow(n, 1)
	case d < quickFiring && p.reduction > 0:
		p.reduction--
	}
}

// failed takes in that a firing of n due times was given up, if that was for its time. Each failure costs the whole
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
