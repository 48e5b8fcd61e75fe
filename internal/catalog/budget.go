package catalog

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/tactus-dev/tactus/internal/shares"
)

// Budget bounds the bytes of documents that all open responses hold together, and has a share of them for each caller.
// The size of a response is not known before its documents are read, so they are counted while they are read. A
// response counts until it is sent, which takes long for a slow client.
type Budget struct{ shares *shares.Budget }

// NewBudget returns a budget of so many bytes.
func NewBudget(most int64) *Budget { return &Budget{shares.New(most)} }

// ErrBusy is returned for documents that the budget has no room for.
var ErrBusy = errors.New("the open answers, or those of one caller, hold as much as they may together")

// account is what one response holds.
type account struct {
	budget *Budget
	caller string
	held   atomic.Int64
}

type accountKey struct{}

// Open returns a context whose reads count for one response to a caller. closed must be called when the response is
// sent.
func (b *Budget) Open(ctx context.Context, caller string) (counted context.Context, closed func()) {
	a := &account{budget: b, caller: caller}
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
	if !a.budget.shares.Take(a.caller, int64(bytes)) {
		return ErrBusy
	}
	a.held.Add(int64(bytes))
	return nil
}

func (a *account) release() { a.budget.shares.Give(a.caller, a.held.Swap(0)) }
