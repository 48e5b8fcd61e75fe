package results

import (
	"fmt"
	"time"

	"github.com/tactus-dev/tactus/domain"
)

// openRun is a run of which more may be heard.
type openRun struct {
	ID         domain.ID
	FiredAt    time.Time
	HeardAt    time.Time // FiredAt when nothing was heard of it
	Status     domain.RunStatus
	ExpiresAt  *time.Time
	TimeLimit  int64 // seconds; 0 when there is none
	Stream     bool
	NoResult   bool
	Now        time.Time // by the clock that made the other times
	unreadable string    // why its result could not be read
}

// asks tells whether its key may hold something.
func (r openRun) asks() bool { return !r.Stream && !r.NoResult }

// conclude says what is to be thought of a run whose key was asked for in vain; false while there is still hope.
//
// An expired run may have started just before its expiry, untold: it is given the time that a run takes at most.
func (r openRun) conclude(timeout, longest time.Duration) (answer, bool) {
	longest = max(longest, time.Duration(r.TimeLimit)*time.Second)
	unstarted := r.Status == domain.Due || r.Status == domain.Sent
	silent := r.Now.Sub(r.HeardAt) >= timeout
	a := answer{run: r.ID, status: domain.Unknown, final: true}
	switch {
	case silent && r.Stream && r.Status == domain.Sent:
		a.status = domain.Sent // as far as it will ever be known
	case unstarted && !r.Stream && r.ExpiresAt != nil && r.Now.After(r.ExpiresAt.Add(longest)):
		a.status, a.reason = domain.Expired, "no worker answered before it expired"
	case !silent:
		return answer{}, false
	case r.unreadable != "":
		a.reason = clip("its result cannot be read: "+r.unreadable, maxError)
	case r.Status == domain.Due:
		a.reason = fmt.Sprintf("it was not handed over within %s", timeout)
	case r.NoResult:
		a.reason = fmt.Sprintf("it leaves no result, and no event told of it within %s", timeout)
	default:
		a.reason = fmt.Sprintf("nothing was heard of it for %s", timeout)
	}
	return a, true
}
