package outbox

import (
	"context"
	"errors"
	"sync"

	"github.com/tactus-dev/tactus/domain"
)

// namesakes keeps simultaneous creations of one name from queueing in the database, where each would hold a connection
// until the one before it has ended. One of them is tried; the others are told its outcome, that the name is taken or
// locked, which is true at some instant during each of them.
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

// lead makes the attempt, and ends it even by a panic, which must not hold the name.
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
