package redis

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"
)

// names keep two beats of one name apart: they would share a consumer group, and each hear a part of what is told. A name is
// claimed in Redis, for some seconds at a time. Who finds it claimed by another waits until that one would have had to claim
// it again: a beat that was killed has the same name when it is back. If the other one is alive, the next name is tried.
type names struct {
	holder string

	mu    sync.Mutex
	now   string               // the name of the group that is heard
	since map[string]time.Time // since when a name has been another's
}

const (
	claimFor   = 5 * time.Second
	claimEvery = claimFor / 4
	aliveAfter = claimFor + claimEvery
	mostNames  = 100
)

var (
	nameClaim   = script("name_claim")
	nameRelease = script("name_release")
)

func newNames(name string) *names {
	return &names{holder: uuid.NewString(), now: name, since: map[string]time.Time{}}
}

func (n *names) get() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.now
}

// nameTaken is that a name is another's, who may be gone.
type nameTaken struct{ name string }

func (e nameTaken) Error() string {
	return fmt.Sprintf("another beat of this name had the consumer group %s a moment ago", e.name)
}

// claim gives the group under a name that nobody else has.
func (f *Feed) claim(ctx context.Context) (group, error) {
	g := f.group
	for i := range mostNames {
		if i > 0 {
			g.name = fmt.Sprintf("%s-%d", f.group.name, i+1)
		}
		mine, err := f.names.claim(ctx, g)
		if err != nil || mine {
			if err == nil && i > 0 {
				f.log.Warn("another beat has this one's name: this one hears by another consumer group; give each its own TACTUS_BEAT_NAME", "group", g.name)
			}
			return g, err
		}
		if !f.names.alive(g.name) {
			return g, nameTaken{g.name}
		}
	}
	return g, nameTaken{g.name}
}

// claim tells whether the name of a group is this holder's, for some time from now on.
func (n *names) claim(ctx context.Context, g group) (bool, error) {
	mine, err := nameClaim.Run(ctx, g.client, []string{beside(g.stream, g.name)}, n.holder, claimFor.Milliseconds()).Bool()
	if err != nil {
		return false, fmt.Errorf("claim the name %s: %w", g.name, err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	switch _, known := n.since[g.name]; {
	case mine:
		n.now = g.name
		delete(n.since, g.name)
	case !known:
		n.since[g.name] = time.Now()
	}
	return mine, nil
}

// alive tells whether the other holder of a name has claimed it again since.
func (n *names) alive(name string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return time.Since(n.since[name]) > aliveAfter
}

// hold claims the name of a group again and again, until ctx ends, or another has it: then it calls lose.
func (n *names) hold(ctx context.Context, g group, lose func()) {
	tick := time.NewTicker(claimEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		once, cancel := context.WithTimeout(ctx, claimFor)
		mine, err := n.claim(once, g)
		cancel()
		if err == nil && !mine {
			lose()
			return
		}
	}
}

// release gives a name up, so that who comes next need not wait.
func (n *names) release(ctx context.Context, g group) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), claimEvery)
	defer cancel()
	_ = nameRelease.Run(ctx, g.client, []string{beside(g.stream, g.name)}, n.holder).Err() // else it runs out
}
