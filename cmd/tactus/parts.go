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

// stopLimit is how long a process may take to stop, whatever hangs. It includes the default drain of an api; a longer
// drain is added.
const stopLimit = 20 * time.Second

// parts are the concurrent parts of a process. If the process does not stop in time, it reports which of them have not
// ended.
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

// begin notes that a part is running, until end is called.
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

// close runs a function that closes something, as a part, because it may hang.
func (p *parts) close(name string, end func()) {
	_ = p.do(name, func() error {
		end()
		return nil
	})
}

// pooled is the name of the part that closes pools after all other parts have ended.
const pooled = "connections to PostgreSQL"

// partGroup runs parts concurrently. If one of them fails, the others are told to end.
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

// within runs a command and returns its exit code. If the command takes too long to stop, within returns without
// waiting for it, and the process ends.
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
