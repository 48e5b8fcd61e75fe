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

// Bodies cost memory while they are read, and processor time while they are judged. Both are bounded for all requests
// together: a body that is too large is not kept, and few bodies at once are judged, in the order in which they came.

// judges bound what bodies cost together.
type judges struct {
	held   *bodies.Budget
	places chan struct{}
}

// newJudges returns judges of bodies that count in a budget.
func newJudges(held *bodies.Budget) *judges {
	return &judges{held: held, places: make(chan struct{}, 2*runtime.GOMAXPROCS(0))}
}

// read reads the body of a request before anybody looks at it.
func (b *judges) read(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Body == nil || r.Body == http.NoBody || !under(r.URL.Path, prefix) || // which nobody reads
			r.ContentLength > maxBody { // the framework refuses these unread
			next.ServeHTTP(w, r)
			return
		}
		control := http.NewResponseController(w)
		_ = control.SetReadDeadline(time.Now().Add(bodyTimeout)) // a recorder of tests has none
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
		if err == nil { // else the server, which reads to the end of the body, is not to wait for it either
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
		case err != nil: // the client is gone, or speaks no HTTP
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

// judge calls do as one of the few that judge bodies at once, unless the client is gone by then.
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
