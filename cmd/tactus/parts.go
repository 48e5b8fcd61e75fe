package main

import (
	"context"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// stopLimit is how long a process takes to stop at most, whatever hangs. The drain of an api is part of it; a longer
// drain than the default one is added.
const stopLimit = 20 * time.Second

// parts are what runs in a process. When the process is to stop, it says which of them do not end.
type parts struct {
	limit    time.Duration
	stop     func()
	stopping chan struct{}

	mu      sync.Mutex
	running []string // in the order in which they began
}

func newParts() *parts {
	stopping := make(chan struct{})
	return &parts{limit: stopLimit, stopping: stopping, stop: sync.OnceFunc(func() { close(stopping) })}
}

// begin notes a part until it ends.
func (p *parts) begin(name string) (end func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.running = append(p.running, name)
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		i := slices.Index(p.running, name)
		p.running = slices.Delete(p.running, i, i+1)
	}
}

// do runs a part.
func (p *parts) do(name string, part func() error) error {
	defer p.begin(name)()
	return part()
}

// close runs a function that closes something, and may hang.
func (p *parts) close(name string, end func()) {
	_ = p.do(name, func() error {
		end()
		return nil
	})
}

// pooled is what is closed when all parts have ended.
const pooled = "connections to PostgreSQL"

// partGroup runs parts beside each other. When one of them fails, the others are to end.
type partGroup struct {
	*errgroup.Group
	parts *parts
}

func (p *parts) group(ctx context.Context) (partGroup, context.Context) {
	group, ctx := errgroup.WithContext(ctx)
	context.AfterFunc(ctx, p.stop)
	return partGroup{group, p}, ctx
}

// Go runs a part in a goroutine.
func (g partGroup) Go(name string, part func() error) {
	end := g.parts.begin(name)
	g.Group.Go(func() error {
		defer end()
		return part()
	})
}

// within returns the exit code of a command, or gives the command up when it has been stopping for too long. The
// process ends then, and what hangs with it.
func (p *parts) within(ctx context.Context, problems io.Writer, command func() int) int {
	context.AfterFunc(ctx, p.stop)
	ended := make(chan int, 1)
	go func() { ended <- command() }()
	select {
	case code := <-ended:
		return code
	case <-p.stopping:
	}
	select {
	case code := <-ended:
		return code
	case <-time.After(p.limit):
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	say(problems, "tactus: stopping has taken %s and is given up; what did not end: %s\n", p.limit,
		strings.Join(p.running, ", "))
	return exitFailure
}
