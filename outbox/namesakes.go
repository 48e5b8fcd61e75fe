package outbox

import (
	"context"
	"errors"
	"sync"

	"github.com/tactus-dev/tactus/domain"
)

// namesakes keeps creations of one name at the same time from queueing in the database, where each would hold a
// connection until the one before it has ended: one of them is tried, and tells the others that the name is taken, or
// locked. It is then, in the time of each of them.
type namesakes struct {
	mu    sync.Mutex
	tried map[string]*attempt // by name
}

type attempt struct {
	ended chan struct{}
	taken error // why the name was not to be had when it ended; nil when it may be
}

func (n *namesakes) create(
	ctx context.Context, name string, try func() (domain.Schedule, error),
) (domain.Schedule, error) {
	for {
		a, first := n.join(name)
		if first {
			return n.lead(name, a, try)
		}
		select {
		case <-a.ended:
		case <-ctx.Done():
			return domain.Schedule{}, ctx.Err()
		}
		if a.taken != nil {
			return domain.Schedule{}, a.taken
		}
	}
}

func (n *namesakes) join(name string) (a *attempt, first bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if a := n.tried[name]; a != nil {
		return a, false
	}
	a = &attempt{ended: make(chan struct{})}
	n.tried[name] = a
	return a, true
}

// lead ends the attempt in any case: a panic must not hold the name.
func (n *namesakes) lead(name string, a *attempt, try func() (domain.Schedule, error)) (s domain.Schedule, err error) {
	err = context.Canceled // unless it comes to an answer
	defer func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		delete(n.tried, name)
		switch {
		case err == nil || errors.Is(err, domain.ErrNameTaken):
			a.taken = domain.ErrNameTaken
		case errors.Is(err, domain.ErrLocked):
			a.taken = err
		}
		close(a.ended)
	}()
	return try()
}
