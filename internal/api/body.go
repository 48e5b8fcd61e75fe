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
	"sync/atomic"
	"time"

	"github.com/tactus-dev/tactus/domain"
)

// Bodies cost memory while they are read, and processor time while they are judged. Both are bounded for all requests
// together: a body that is too large is not kept, and few bodies at once are judged, in the order in which they came.

// maxBodies is the most bytes of bodies that are held together.
const maxBodies = 64 << 20

// bodies bounds what bodies cost together.
type bodies struct {
	held   atomic.Int64
	places chan struct{}
}

func newBodies() *bodies { return &bodies{places: make(chan struct{}, 2*runtime.GOMAXPROCS(0))} }

// errBodies is returned for a body that there is no room for.
var errBodies = errors.New("the bodies in work hold as much as they may together")

var noRoom = fault{
	Code:    "bodies_too_large",
	Message: "the bodies of the requests in work are as large as they may be together: try again",
}

// read reads the body of a request before anybody looks at it.
func (b *bodies) read(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Body == nil || r.Body == http.NoBody || r.ContentLength > maxBody { // the framework refuses the latter unread
			next.ServeHTTP(w, r)
			return
		}
		control := http.NewResponseController(w)
		_ = control.SetReadDeadline(time.Now().Add(bodyTimeout)) // a recorder of tests has none
		counted := &countedReader{from: r.Body, bodies: b}
		defer counted.release()
		text, err := io.ReadAll(io.LimitReader(counted, domain.MaxPayload+1))
		size := int64(len(text))
		if err == nil && size > domain.MaxPayload {
			text = nil
			counted.release()
			var more int64
			more, err = io.Copy(io.Discard, io.LimitReader(r.Body, maxBody+1-size))
			size += more
		}
		if err == nil { // else the server, which reads to the end of the body, is not to wait for it either
			_ = control.SetReadDeadline(time.Time{})
		}
		switch {
		case errors.Is(err, errBodies):
			_ = control.SetReadDeadline(time.Now())
			w.Header().Set("Retry-After", "1")
			problemTo(w, newProblem(http.StatusServiceUnavailable, noRoom))
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
func (b *bodies) judge(ctx context.Context, do func()) error {
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

// countedReader counts what is read among all bodies.
type countedReader struct {
	from   io.Reader
	bodies *bodies
	held   int64
}

func (c *countedReader) Read(into []byte) (int, error) {
	n, err := c.from.Read(into)
	c.held += int64(n)
	if c.bodies.held.Add(int64(n)) > maxBodies {
		return n, errBodies
	}
	return n, err
}

func (c *countedReader) release() {
	c.bodies.held.Add(-c.held)
	c.held = 0
}
