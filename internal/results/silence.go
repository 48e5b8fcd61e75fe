package results

import (
	"fmt"
	"time"

	"github.com/tactus-dev/tactus/domain"
)

// openRun is a run that may still be heard of.
type openRun struct {
	ID         domain.ID
	FiredAt    time.Time
	HeardAt    time.Time // when it was last heard of; FiredAt when never
	Status     domain.RunStatus
	ExpiresAt  *time.Time
	TimeLimit  int64 // seconds; 0 when there is none
	Stream     bool
	NoResult   bool
	Now        time.Time // by the clock that the other times are from
	unreadable string    // why its result could not be read
}

// asks reports whether the run's key may hold a result.
func (r openRun) asks() bool { return !r.Stream && !r.NoResult }

// conclude returns the conclusion about a run whose key held no result, or false while an answer may still come.
//
// An expired run may have started just before it expired without an event. It therefore gets the longest time that a
// run takes before conclude calls it expired.
func (r openRun) conclude(timeout, longest time.Duration) (answer, bool) {
	longest = max(longest, time.Duration(r.TimeLimit)*time.Second)
	unstarted := r.Status == domain.Due || r.Status == domain.Sent
	silent := r.Now.Sub(r.HeardAt) >= timeout
	a := answer{run: r.ID, status: domain.Unknown, final: true}
	switch {
	case silent && r.Stream && r.Status == domain.Sent:
		a.status = domain.Sent // a stream returns no answers
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
