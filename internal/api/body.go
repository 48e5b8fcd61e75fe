package api

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime"
	"time"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/access"
	"github.com/tactus-dev/tactus/internal/bodies"
)

// A body takes memory while it is read, and processor time while it is judged. Both are bounded for all requests
// together: bodies are only read as far as the budget has room, and only a few are judged at once, in the order of
// their arrival.

// judges bound the memory and the processor time of all bodies together.
type judges struct {
	held   *bodies.Budget
	places chan struct{}
}

// newJudges returns judges whose bodies count against a budget.
func newJudges(held *bodies.Budget) *judges {
	return &judges{held: held, places: make(chan struct{}, 2*runtime.GOMAXPROCS(0))}
}

// read returns a handler that reads the whole body of a request before it calls next.
func (b *judges) read(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Body == nil || r.Body == http.NoBody || !under(r.URL.Path, prefix) || // no operation reads it
			r.ContentLength > maxBody { // the framework refuses these unread
			next.ServeHTTP(w, r)
			return
		}
		control := http.NewResponseController(w)
		_ = control.SetReadDeadline(time.Now().Add(bodyTimeout)) // the recorder of a test does not support it
		counted := b.held.Reader(w, access.Client(r), r.Body)
		defer counted.Release()
		text, err := counted.ReadAll(domain.MaxPayload + 1)
		size := int64(len(text))
		if err == nil && size > domain.MaxPayload {
			text = nil
			counted.Release()
			var more int64
			more, err = io.Copy(io.Discard, io.LimitReader(r.Body, maxBody+1-size))
			size += more
		}
		if err == nil { // after an error the deadline stays, because the server reads the rest of the body
			_ = control.SetReadDeadline(time.Time{})
		}
		switch {
		case bodies.Passes(err):
			bodies.GiveUp(w)
			why := bodies.ErrFull
			if errors.Is(err, bodies.ErrStopping) {
				why = bodies.ErrStopping
			}
			problemTo(w, newProblem(http.StatusServiceUnavailable, fault{Code: why.Code, Message: why.Message}))
		case errors.Is(err, os.ErrDeadlineExceeded):
			writeProblem(w, http.StatusRequestTimeout)
		case err != nil: // the client is gone, or does not speak HTTP
			writeProblem(w, http.StatusBadRequest)
		case size > maxBody:
			writeProblem(w, http.StatusRequestEntityTooLarge)
		case size > domain.MaxPayload:
			long := domain.TooLong(int(size))
			problemTo(w, newProblem(http.StatusUnprocessableEntity, fault{Code: long.Code, Message: long.Message}))
		default:
			r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(text)), size
			next.ServeHTTP(w, r)
		}
	})
}

// judge waits for its turn among the few that judge bodies at once, and calls do unless the client is gone by then.
func (b *judges) judge(ctx context.Context, do func()) error {
	select {
	case b.places <- struct{}{}:
	case <-ctx.Done():
		return fmt.Errorf("wait to judge a body: %w", ctx.Err())
	}
	defer func() { <-b.places }()
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("judge a body: %w", err)
	}
	do()
	return nil
}
