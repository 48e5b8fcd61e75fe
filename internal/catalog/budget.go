package catalog

import (
	"context"
	"errors"
	"sync/atomic"
)

// Budget bounds the bytes of documents that all open responses hold together. The size of a response is not known
// before its documents are read, so they are counted while they are read. A response counts until it is sent, which
// takes long for a slow client.
type Budget struct {
	most int64
	held atomic.Int64
}

// NewBudget returns a budget of so many bytes.
func NewBudget(most int64) *Budget { return &Budget{most: most} }

// ErrBusy is returned for documents that the budget has no room for.
var ErrBusy = errors.New("the open answers hold as much as they may together")

// account is what one response holds.
type account struct {
	budget *Budget
	held   atomic.Int64
}

type accountKey struct{}

// Open returns a context whose reads count for one response. closed must be called when the response is sent.
func (b *Budget) Open(ctx context.Context) (counted context.Context, closed func()) {
	a := &account{budget: b}
	return context.WithValue(ctx, accountKey{}, a), a.release
}

// Release gives back what a response has held so far, after that part was sent.
func Release(ctx context.Context) {
	if a, ok := ctx.Value(accountKey{}).(*account); ok {
		a.release()
	}
}

// Hold counts bytes for the response of a context, or returns ErrBusy. A context without a response has no bound.
func Hold(ctx context.Context, bytes int) error {
	a, ok := ctx.Value(accountKey{}).(*account)
	if !ok {
		return nil
	}
	if a.budget.held.Add(int64(bytes)) > a.budget.most {
		a.budget.held.Add(-int64(bytes))
		return ErrBusy
	}
	a.held.Add(int64(bytes))
	return nil
}

func (a *account) release() { a.budget.held.Add(-a.held.Swap(0)) }
