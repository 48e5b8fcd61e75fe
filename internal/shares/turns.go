package shares

import (
	"context"
	"sync"

	"golang.org/x/sync/semaphore"
)

// Turns has the requests of each caller take turns at what a process has few of, the connections of a pool: at most so
// many of one caller are at it at once, and its others wait in a line of their own, in which they keep nobody else.
type Turns struct {
	most int

	mu    sync.Mutex
	lines map[string]*line
}

// line is the turns of one caller, while somebody has one or waits for it.
type line struct {
	turns *semaphore.Weighted // first come, first served
	in    int                 // how many have a turn, or wait
}

// NewTurns returns turns of which one caller has so many at once.
func NewTurns(most int) *Turns { return &Turns{most: most, lines: map[string]*line{}} }

// Waiting returns how many turns a caller waits for.
func (t *Turns) Waiting(caller string) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	if l := t.lines[caller]; l != nil {
		return max(0, l.in-t.most)
	}
	return 0
}

func (t *Turns) take(ctx context.Context, caller string) error {
	t.mu.Lock()
	l := t.lines[caller]
	if l == nil {
		l = &line{turns: semaphore.NewWeighted(int64(t.most))}
		t.lines[caller] = l
	}
	l.in++
	t.mu.Unlock()
	err := l.turns.Acquire(ctx, 1)
	if err != nil {
		t.left(caller, l, 1)
	}
	return err
}

func (t *Turns) give(caller string, n int) {
	t.mu.Lock()
	l := t.lines[caller]
	t.mu.Unlock()
	l.turns.Release(int64(n))
	t.left(caller, l, n)
}

func (t *Turns) left(caller string, l *line, n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if l.in -= n; l.in == 0 {
		delete(t.lines, caller)
	}
}

// request is one of a caller, which takes its turn when it first needs one.
type request struct {
	turns  *Turns
	caller string

	mu          sync.Mutex
	held, taken int // what it holds, and the turns that it has taken for that
}

type requestKey struct{}

// Of returns the context of a request of a caller.
func (t *Turns) Of(ctx context.Context, caller string) context.Context {
	return context.WithValue(ctx, requestKey{}, &request{turns: t, caller: caller})
}

// Enter waits until it is the turn of a context's request to hold one thing, until leave is called. A request that
// holds something already holds more without another turn: it could not give back the first while it waits for the
// second. leave is nil where the context is of no request, which takes no turns.
func Enter(ctx context.Context) (leave func(), err error) {
	r, ok := ctx.Value(requestKey{}).(*request)
	if !ok {
		return nil, nil
	}
	if r.holdsMore() {
		return r.leave, nil
	}
	if err := r.turns.take(ctx, r.caller); err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.held++
	r.taken++
	return r.leave, nil
}

func (r *request) holdsMore() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.held == 0 {
		return false
	}
	r.held++
	return true
}

func (r *request) leave() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.held--; r.held == 0 {
		r.turns.give(r.caller, r.taken)
		r.taken = 0
	}
}
