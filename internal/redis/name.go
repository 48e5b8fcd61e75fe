package redis

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"
)

// names keeps two beats with the same TACTUS_BEAT_NAME apart. They would share a consumer group, and Redis gives each
// entry to one consumer of a group only, so each beat would hear a part of the changes.
//
// A holder claims its name in Redis for claimFor, and extends the claim every claimEvery. A beat that finds its name
// claimed by another holder cannot know whether that one is alive or was killed a moment ago (often the beat's own
// former process). It tells the two apart by waiting:
//
//	free                                             claim it
//	another's, first seen less than aliveAfter ago   a dead holder's claim may not have expired: try again later
//	another's, first seen longer ago                 the holder has extended its claim, so it lives: try name-2 ...
type names struct {
	holder string // identifies this process

	mu           sync.Mutex
	current      string               // the name of the group that this beat hears through
	foreignSince map[string]time.Time // names that another holder has -> when this beat first found them claimed
}

const (
	claimFor   = 5 * time.Second
	claimEvery = claimFor / 4
	aliveAfter = claimFor + claimEvery // the claim of a holder that has died by now has certainly expired
	mostNames  = 100                   // tried, from the beat's own to its name-100
)

var (
	nameClaim   = script("name_claim")
	nameRelease = script("name_release")
)

func newNames(name string) *names {
	return &names{holder: uuid.NewString(), current: name, foreignSince: map[string]time.Time{}}
}

// get returns the name of the group that this beat hears through.
func (n *names) get() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.current
}

// nameTaken is the error for a name that another holder has claimed, which may be dead.
type nameTaken struct{ name string }

func (e nameTaken) Error() string {
	return fmt.Sprintf("another beat of this name had the consumer group %s a moment ago", e.name)
}

// claim claims the first free name, and returns the group of that name. It returns nameTaken while another holder of a
// name may be dead.
func (f *Feed) claim(ctx context.Context) (group, error) {
	g := f.group
	for i := range mostNames {
		if i > 0 {
			g.name = fmt.Sprintf("%s-%d", f.group.name, i+1)
		}
		mine, err := f.names.claim(ctx, g)
		if err != nil || mine {
			if err == nil && i > 0 {
				f.log.Warn("another beat has this one's name: this one hears by another consumer group; "+
					"give each its own TACTUS_BEAT_NAME", "group", g.name)
			}
			return g, err
		}
		if !f.names.alive(g.name) {
			return g, nameTaken{g.name}
		}
	}
	return g, nameTaken{g.name}
}

// claim claims the name of a group for claimFor, and reports whether this holder has the name now.
func (n *names) claim(ctx context.Context, g group) (bool, error) {
	key := beside(g.stream, g.name)
	mine, err := nameClaim.Run(ctx, g.client, []string{key}, n.holder, claimFor.Milliseconds()).Bool()
	if err != nil {
		return false, fmt.Errorf("claim the name %s: %w", g.name, err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	switch _, known := n.foreignSince[g.name]; {
	case mine:
		n.current = g.name
		delete(n.foreignSince, g.name)
	case !known:
		n.foreignSince[g.name] = time.Now()
	}
	return mine, nil
}

// alive reports whether the other holder of a name must have extended its claim since this beat first found it.
func (n *names) alive(name string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return time.Since(n.foreignSince[name]) > aliveAfter
}

// hold extends the claim on the name of a group until ctx ends. If another holder has got the name, because this
// process was suspended or Redis was away for too long, hold calls lose and returns.
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

// release gives up a name, so that the beat's next process need not wait for the claim to expire.
func (n *names) release(ctx context.Context, g group) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), claimEvery)
	defer cancel()
	// If Redis cannot be reached, the claim expires by itself.
	_ = nameRelease.Run(ctx, g.client, []string{beside(g.stream, g.name)}, n.holder).Err()
}
